"""How a door speaks HTTP: uvicorn's protocol, with an end to everything that a sender can draw out, and whole answers."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from daemon.places import Places

BODY_CAP = 256 * 1024
HEAD_CAP = 32 * 1024
SWALLOWED = 1024 * 1024
"""Of a body that is too large, so much is read before the answer: who is cut off while sending never sees it."""
REFUSED = b'{"ok":false}'
WHOLE = "bookferry.whole"
"""In the scope of a request that is there to its last byte: nothing has to be waited for."""

_PIPELINED = 8
"""So many requests may come before the first is answered; uvicorn would take any number into memory."""


def _no(status: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(REFUSED)}\r\nconnection: close"
    return head.encode() + b"\r\n\r\n" + REFUSED


_MALFORMED = _no("400 Bad Request")
_HEADS_TOO_LARGE = _no("431 Request Header Fields Too Large")


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a deadline and a cap for a request's head; without them one sender holds it for ever."""

    def __init__(self, *args: Any, deadline: float, places: Places, **named: Any) -> None:
        super().__init__(*args, **named)
        self._deadline, self._places = deadline, places
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._in_head = self._present = False
        self._fed = 0
        self._too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Joined(transport, self.loop))  # type: ignore[arg-type]  # it looks like one
        self._timer = self.loop.call_later(self._deadline, self._late)
        self._present = True
        self._places.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.resume_writing()
        if self._present:
            self._present = False
            self._places.leave(self)
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Make room for somebody else: a request that never came to its end is nobody's loss."""
        self._present = False
        self.connections.discard(self)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._places.grew(self, len(data))
        # Between requests, or in a head that is not complete, or in the rest of a body that was answered already.
        if self._in_head or self.cycle is None or self.cycle.response_complete:
            self._fed += len(data)
            if self._in_head and self._fed > HEAD_CAP + BODY_CAP:
                self._too_large = True
                self.send_400_response("")
            elif self._timer is None and self.timeout_keep_alive_task is None:
                self._timer = self.loop.call_later(self._deadline, self._late)
        elif self.cycle.more_body:
            self._fed += len(data)
            if self._fed > 2 * SWALLOWED:  # what is no body and no end either: extensions of chunks, trailers
                self.transport.abort()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= _PIPELINED:
            raise ValueError("too many requests at once")  # the parser stops and asks for an answer
        self._in_head, self._fed = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_CAP:
            self._too_large = True
            raise ValueError("the head is too large")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.scope[WHOLE] = True  # type: ignore[literal-required]  # for our own application
        super().on_message_complete()
        if not self.cycle.response_complete:
            self._places.at_work(self)

    def on_response_complete(self) -> None:
        if not self.transport.is_closing() and (self.cycle.response_complete or self.cycle.more_body):
            self._places.waits(self)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - all hear the same
        self.transport.write(_HEADS_TOO_LARGE if self._too_large else _MALFORMED)
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self._unread or self.loop.call_later(self._deadline, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def timeout_keep_alive_handler(self) -> None:
        self._late()

    def _late(self) -> None:
        self._timer = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # it asks and does not read: an orderly end would wait for it
        elif not self.transport.is_closing():
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
        if self._pieces and not self._transport.is_closing():
            self._transport.write(b"".join(self._pieces))
        self._pieces.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
