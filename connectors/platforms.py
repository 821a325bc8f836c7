"""What every platform declares, without its network part: all that a mere look at the store needs, and fast to import.

A test holds this equal to ``connectors.registry``.
"""

from collections.abc import Mapping

from connectors.bookatu.platform import PLATFORM as BOOKATU
from connectors.nearbyassist.platform import PLATFORM as NEARBYASSIST
from connectors.nicejob.platform import PLATFORM as NICEJOB
from connectors.nowistay.platform import PLATFORM as NOWISTAY
from mapping.capability import Platform

PLATFORMS: Mapping[str, Platform] = {
    platform.name: platform for platform in (BOOKATU, NEARBYASSIST, NICEJOB, NOWISTAY)
}
