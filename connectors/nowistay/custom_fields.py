"""The host's own fields on bookings: a value needs its key to exist."""

from collections.abc import Mapping

from connectors.budget import Lane
from connectors.errors import Conflict, OutcomeUnknown, TryLater
from connectors.http import Client
from connectors.nowistay.answers import check
from connectors.nowistay.lists import everything
from connectors.nowistay.translate import checked_key

_SETTING = "paths: {booking_parameters: …}"


class CustomFields:
    """Which keys there are, and the missing ones made."""

    def __init__(self, connection: str, http: Client, path: str) -> None:
        self._connection, self._http, self._path = connection, http, path
        self._keys: set[str] = set()

    async def ensure(self, keys: Mapping[str, str | None]) -> None:
        """See that these keys exist; their values are the names of new ones. Raises Refused, TryLater, NeedsHuman.

        Making one is safe to repeat: "409: Conflict (for example, parameter key already exists)".
        """
        for key in keys:
            checked_key(key)
        if not set(keys) - self._keys:
            return
        rows = await everything(
            self._http, self._path, self._connection, key="key", lane=Lane.PUSH, setting=_SETTING
        )
        self._keys = {
            row["key"] for row in rows if isinstance(row, Mapping) and isinstance(row.get("key"), str)
        }
        for key in sorted(set(keys) - self._keys):
            await self._make(key, keys[key] or key.replace("_", " ").capitalize())

    async def _make(self, key: str, name: str) -> None:
        try:
            body = {"key": key, "name": name}
            answer = await self._http.write("POST", self._path, json=body, lane=Lane.PUSH)
            check(answer, self._connection, setting=_SETTING)
        except Conflict:
            pass
        except OutcomeUnknown as error:
            # No booking has been touched yet, and the key is looked for before it is made again.
            raise TryLater(error.sentence) from None
        self._keys.add(key)
