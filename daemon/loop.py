"""The event loop of the commands: uvloop where it is installed, which costs about a third less at the doors."""

import asyncio
import gc
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_TURN_S = 0.0005
"""After so long the loop lets the writer's thread go on, whose commit is awaited. Python's own 5 ms show at the doors."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, as ``asyncio.run`` does."""
    sys.setswitchinterval(_TURN_S)
    try:
        import uvloop
    except ImportError:  # there is none for this platform
        return asyncio.run(main)
    return uvloop.run(main)


def settled() -> None:
    """Everything that lasts was made: the garbage collector need not stop the doors to look through it, again and again."""
    gc.collect()
    gc.freeze()
