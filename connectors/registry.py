"""The connectors there are. A new one is entered here and nowhere else; the contract suite then tests it."""

from collections.abc import Mapping
from typing import Any

from connectors.base import Connector
from connectors.bookatu.connector import Bookatu
from connectors.nearbyassist.connector import NearbyAssist
from connectors.nicejob.connector import NiceJob
from connectors.nowistay.connector import Nowistay

CONNECTORS: Mapping[str, type[Connector[Any]]] = {
    connector.platform.name: connector for connector in (Bookatu, NearbyAssist, NiceJob, Nowistay)
}
