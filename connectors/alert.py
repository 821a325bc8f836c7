"""Where alerts go: one address that takes JSON. Its path lets anybody in who knows it, so no error shows it."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors.budget import EVERYTHING, Budget
from connectors.errors import PlatformError, TryLater
from connectors.http import Client

_LIMIT_S = 20.0
_RATE = (10, 60.0)


class AlertChannel:
    """Posts alerts. A message may arrive twice: better than never."""

    def __init__(self, url: str, now: Callable[[], float] = time.time) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self._path = parts.path or "/"
        self._params = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._http = Client(
            f"{parts.scheme}://{parts.netloc}",
            Budget({EVERYTHING: [_RATE]}, now=now),
            total=_LIMIT_S,
            plain_http=True,  # the configuration allows it on this machine alone
            clock=now,
        )

    async def post(self, message: Mapping[str, Any]) -> None:
        """Send one message. Raises TryLater with a sentence that does not show the address."""
        try:
            answer = await self._http.write("POST", self._path, params=self._params, json=message)
        except PlatformError as error:
            why = error.sentence.replace(f"POST {self._path}", f"POST to {self.host}")
            raise TryLater(f"the alert was not delivered: {why}") from None
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise TryLater(f"the alert was not delivered: {self.host} answered {answer.status}.")

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._http.aclose()
