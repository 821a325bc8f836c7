"""The sandbox kit's clock."""

import asyncio
import time
from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """Print an instant the JavaScript way: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def instant(text: str) -> datetime:
    """Read an ISO 8601 date-time that says its offset; ``ValueError`` for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a date-time without an offset is no instant")
    return moment.astimezone(UTC)


class Clock:
    """Real time plus an offset. Moving it forward wakes whoever sleeps by it."""

    def __init__(self) -> None:
        self.offset = 0.0
        self.stopped = False
        self._moved = asyncio.Event()

    def time(self) -> float:
        """Return Unix seconds."""
        return time.time() + self.offset

    def move(self, offset: float) -> None:
        """Set the offset."""
        self.offset = offset
        self._wake()

    async def sleep(self, seconds: float) -> bool:
        """Sleep by this clock; False when it was stopped before the time had come."""
        due = self.time() + seconds
        while not self.stopped:
            left = due - self.time()
            if left <= 0:
                return True
            try:
                async with asyncio.timeout(left):
                    await self._moved.wait()
            except TimeoutError:
                continue
        return False

    def start(self) -> None:
        """Let sleepers sleep, in the loop that runs now."""
        self.stopped = False
        self._moved = asyncio.Event()

    def stop(self) -> None:
        """Wake every sleeper for good."""
        self.stopped = True
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
