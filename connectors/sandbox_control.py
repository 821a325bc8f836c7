"""The sandbox kit's control surface: the methods of a sandbox, offered to other processes over HTTP.

Every answer is ``{"result": ...}``, or status 400 with ``{"error": ...}``; a refusal of the platform
comes with the platform's own status and envelope.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.routing import compile_path

from connectors.sandbox_wire import Refusal, Reply, Request

if TYPE_CHECKING:
    from connectors.sandbox import Sandbox

CONTROL = "/_sandbox"
Control = Callable[[Request], Any]


class ControlSurface:
    """The thin wrappers."""

    def __init__(self, sandbox: "Sandbox") -> None:
        self.sandbox = sandbox
        self.table = [(verb, compile_path(CONTROL + path)[0], call) for verb, path, call in self._routes()]

    def _routes(self) -> list[tuple[str, str, Control]]:
        box = self.sandbox
        return [
            ("GET", "/state", lambda r: box.state(int(r.query.get("rows", "100")))),
            ("POST", "/seed", lambda r: box.seed(**_arguments(r))),
            ("GET", "/clock", lambda _r: {"now": box.stamp()}),
            ("POST", "/clock", self._set_clock),
            ("GET", "/faults", lambda _r: box.faults),
            ("POST", "/faults", lambda r: box.fault(**_arguments(r))),
            ("DELETE", "/faults", lambda _r: box.clear_faults()),
            ("GET", "/requests", lambda _r: box.requests),
            ("DELETE", "/requests", lambda _r: box.clear_requests()),
            ("GET", "/deliveries", lambda _r: [delivery.public() for delivery in box.deliveries]),
            ("POST", "/deliveries/hold", lambda _r: box.hold_webhooks()),
            ("POST", "/deliveries/release", lambda r: len(box.release_webhooks(**_arguments(r)))),
            ("POST", "/deliveries/redeliver", lambda r: box.redeliver(**_arguments(r)).public()),
            ("POST", "/deliveries/quiet", lambda r: box.quiet(**_arguments(r))),
            ("POST", "/act/{action}", lambda r: box.act(r.params["action"], **_arguments(r))),
        ]

    def _set_clock(self, request: Request) -> dict[str, str]:
        arguments = _arguments(request)
        if "set" in arguments:
            self.sandbox.set_clock(arguments["set"])
        return {"now": self.sandbox.advance(arguments.get("advance", 0))}

    async def answer(self, request: Request) -> Reply:
        """Carry out one control request."""
        for verb, pattern, call in self.table:
            match = pattern.match(request.path)
            if match and verb == request.method:
                request.params = match.groupdict()
                return await _controlled(call, request)
        return Reply({"error": "no such control"}, 404)


async def _controlled(call: Control, request: Request) -> Reply:
    try:
        result = call(request)
        if inspect.isawaitable(result):
            result = await result
    except Refusal as refusal:
        return refusal.reply
    except (TypeError, ValueError, LookupError, AttributeError, TimeoutError) as problem:
        return Reply({"error": f"{type(problem).__name__}: {problem}"}, 400)
    return Reply({"result": result})


def _arguments(request: Request) -> dict[str, Any]:
    arguments = request.json() if request.raw else {}
    if not isinstance(arguments, dict):
        raise TypeError("the body must be an object of arguments")
    return arguments
