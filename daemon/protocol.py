"""How a door speaks HTTP: uvicorn's protocol, with a deadline and a cap for a request's head, and whole answers."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BODY_CAP = 256 * 1024
HEAD_CAP = 32 * 1024
REFUSED = b'{"ok":false}'
WHOLE = "bookferry.whole"
"""In the scope of a request that is there to its last byte: nothing has to be waited for."""

_HEADS_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"content-length: 12\r\nconnection: close\r\n\r\n" + REFUSED
)


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a deadline and a cap for a request's head; without them one sender holds it for ever."""

    def __init__(self, *args: Any, deadline: float, **named: Any) -> None:
        super().__init__(*args, **named)
        self._deadline = deadline
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._fed = 0
        self._too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Joined(transport, self.loop))  # type: ignore[arg-type]  # it looks like one
        self._timer = self.loop.call_later(self._deadline, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        # Between requests, or in a head that is not complete, or in the rest of a body that was answered already.
        if self._in_head or self.cycle is None or self.cycle.response_complete:
            self._fed += len(data)
            if self._in_head and self._fed > HEAD_CAP + BODY_CAP:
                self._too_large = True
                self.send_400_response("")
            elif self._timer is None and self.timeout_keep_alive_task is None:
                self._timer = self.loop.call_later(self._deadline, self._late)

    def on_message_begin(self) -> None:
        self._in_head, self._fed = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_CAP:
            self._too_large = True
            raise ValueError("the head is too large")  # the parser stops and asks for an answer
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.scope[WHOLE] = True  # type: ignore[literal-required]  # for our own application
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if not self._too_large:
            super().send_400_response(msg)
            return
        self.transport.write(_HEADS_TOO_LARGE)
        self.transport.close()

    def _late(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Joined:
    """A transport that sends an answer's head and body, which come as two, as one: half the system calls."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces:
            self._transport.write(b"".join(self._pieces))
            self._pieces.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
