"""The log: one line an event on stderr, JSON for machines, readable where a person watches.

Every line has a stable word ``action`` and the ids it is about. No line has a payload, a secret or a guest: values are
dropped by the name of their key, addresses and keys are masked in texts, and an exception is told by its type and its
place, never by its message, which may quote what it choked on.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any

from daemon import masks

GONE = "[redacted]"
_PRIVATE = frozenset(
    {
        "address",
        "addresses",
        "apikey",
        "authorization",
        "body",
        "cookie",
        "email",
        "emails",
        "guest",
        "header",
        "headers",
        "name",
        "names",
        "password",
        "payload",
        "phone",
        "phones",
        "raw",
        "secret",
        "secrets",
        "signature",
        "text",
        "token",
        "tokens",
    }
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_MASKED = re.compile(
    r"[\w.+%-]{1,64}@[\w-]{1,255}\.[\w.-]+"  # e-mail addresses
    r"|\b(?:whsec|bk_live|bk_test)_\w+"  # Bookatu's keys
    r"|(?<=[Bb]earer )\S+"
)
_DEPTH = 6
_FRAMES = 8
_QUIET = (
    "aiohttp",
    "apscheduler",
    "asyncio",
    "httpcore",
    "httpx",
    "uvicorn",
    "uvicorn.access",
    "uvicorn.error",
)


def is_private(key: str) -> bool:
    """Whether a value of this name is nobody's business."""
    words = [word.lower() for word in _WORD.findall(key)]
    return not _PRIVATE.isdisjoint(words) or "api_key" in "_".join(words)


def clean(value: Any, depth: int = _DEPTH) -> Any:
    """The value without what is private in it."""
    if isinstance(value, str):
        text = _MASKED.sub(GONE, value)
        return (
            text if text.isprintable() else masks.clean(text)
        )  # one event is one line, also where a person watches
    if isinstance(value, bytes | bytearray) or depth == 0:
        return GONE
    if isinstance(value, Mapping):
        return {
            str(key): GONE if is_private(str(key)) else clean(item, depth - 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item, depth - 1) for item in value]
    return value


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: drop what is private by the name of its key."""
    for key, value in event.items():
        if not key.startswith("_"):  # the formatter's own
            event[key] = GONE if is_private(key) else clean(value)
    return event


def told(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: an exception by its type and its place."""
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if not given:
        return event
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        event["error"] = type(error).__name__
        event["where"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def foreign(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor for lines of other libraries: who says it is the action."""
    record = event.get("_record")
    event["message"], event["event"] = event.get("event"), record.name if record is not None else "log"
    return event


def configure(level: str = "INFO", json: bool | None = None) -> None:  # noqa: FBT001 - the command line's two options
    """Set up the log of this process. ``json`` None: readable when stderr is a terminal."""
    import structlog

    plain = sys.stderr.isatty() if json is None else not json
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        told,
        redact,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(plain=plain)],
            foreign_pre_chain=[foreign, *shared],
            keep_exc_info=False,
            keep_stack_info=False,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # One line for each malformed request: strangers would write our log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def _rendering(*, plain: bool) -> list[Any]:
    import structlog

    if plain:
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)]
    return [structlog.processors.EventRenamer("action"), structlog.processors.JSONRenderer(default=str)]
