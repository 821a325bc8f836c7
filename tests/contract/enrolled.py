"""Who is put through the suite: every connector of the registry, and whoever asks for it in ``EXTRA``."""

from connectors.registry import CONNECTORS as REGISTERED
from tests.contract.fifth.connector import Deskbook

EXTRA = {Deskbook.platform.name: Deskbook}
CONNECTORS = {**REGISTERED, **EXTRA}
