"""The event loop of the commands: uvloop where it is installed, which costs about a third less at the doors."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, as ``asyncio.run`` does."""
    try:
        import uvloop
    except ImportError:  # there is none for this platform
        return asyncio.run(main)
    return uvloop.run(main)
