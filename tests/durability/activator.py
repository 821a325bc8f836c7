"""What systemd does for a socket unit, as small as it can be: it holds the sockets, and starts the service again.

And the sender: Bookatu's rule for a webhook, on a connection of its own for each attempt.
"""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ATTEMPTS, TIMEOUT_S, PAUSES_S = 3, 4.0, (0.5, 1.0)
"""Bookatu, "Delivery & signing": up to 3 attempts, 4 s each, 500 ms and 1000 ms apart."""
BACKLOG = 2048

# The process that is to be the service moves its sockets to 3 and 4 and says whom they are for.
_SHIM = (
    "import os, sys; [os.dup2(int(fd), 3 + place) for place, fd in enumerate(sys.argv[1:3])];"
    " os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='bookferry.socket:bookferry.socket');"
    " os.execv(sys.executable, [sys.executable, *sys.argv[3:]])"
)


class Activator:
    """``bookferry run``, started again and again with the same sockets."""

    def __init__(self, config: Path, key: str) -> None:
        self.config, self.key = config, key
        self.starts = 0
        self.log = config.with_suffix(".log")
        # High numbers: 3 and 4 are to be free in the child.
        self.held = [_high(socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)) for _ in range(2)]
        self.process: asyncio.subprocess.Process | None = None

    @property
    def port(self) -> int:
        return self.held[0].getsockname()[1]

    async def start(self) -> None:
        fds = [each.fileno() for each in self.held]
        command = [*map(str, fds), "-m", "daemon.cli", "-c", str(self.config), "run", "--log", "warning"]
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-S",
                "-c",
                _SHIM,
                *command,
                pass_fds=fds,
                stdout=log,
                stderr=log,
                env={"BOOKFERRY_KEY": self.key, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            )
        self.starts += 1

    async def up(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            answered = asyncio.ensure_future(reader.readline())
            ended = asyncio.ensure_future(self.process.wait())
            await asyncio.wait({answered, ended}, return_when=asyncio.FIRST_COMPLETED)
            writer.close()
            if not answered.done():
                raise AssertionError(f"the service ended at once:\n{self.said()}")
            ended.cancel()

    async def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return await self.process.wait()

    async def restart(self, how: signal.Signals) -> None:
        code = await self.end(how)
        expected = -signal.SIGKILL if how is signal.SIGKILL else 0
        if code != expected:
            raise AssertionError(f"the service ended with {code}:\n{self.said()}")
        await self.start()

    def said(self) -> str:
        return self.log.read_text()[-3000:]

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            await self.end(signal.SIGKILL)
        for each in self.held:
            each.close()


def _high(held: socket.socket) -> socket.socket:
    import fcntl

    made = socket.socket(fileno=fcntl.fcntl(held.fileno(), fcntl.F_DUPFD_CLOEXEC, 50))
    held.close()
    return made


async def deliver(port: int, build) -> int:
    """Send one webhook as Bookatu would; gives the number of the attempt that was acknowledged, 0 for none."""
    for attempt in range(1, ATTEMPTS + 1):
        if await _attempted(port, build(attempt)):
            return attempt
        if attempt < ATTEMPTS:
            await asyncio.sleep(PAUSES_S[attempt - 1])
    return 0


async def _attempted(port: int, request: bytes) -> bool:
    writer = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            return (await reader.readline()).startswith(b"HTTP/1.1 2")
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
