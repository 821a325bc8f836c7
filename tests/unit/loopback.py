"""Small servers on the loopback that answer, hang, reset, cut and lie, and a client that talks to them."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager

from connectors.budget import Budget
from connectors.http import Client

OK = b'{"ok":true}'
START = 1_700_000_000.0


class Time:
    """Moves only where somebody sleeps."""

    def __init__(self):
        self.now = START
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def reply(body=OK, status=200, *headers, length=None):
    lines = [f"HTTP/1.1 {status} Whatever", "Content-Type: application/json", *headers]
    if length is not False:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def hang(_writer):
    return None


def close(writer):
    writer.close()


def reset(writer):
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def cut(writer):
    writer.write(reply(b'{"ok":', length=100))
    writer.close()


def cut_by_reset(writer):
    writer.write(reply(b'{"ok":', length=100))
    asyncio.get_running_loop().call_later(0.02, reset, writer)


def stall(writer):
    writer.write(reply(b'{"ok":', length=100))


class Server:
    """Plays one step of its script per request, the last one for ever. Keeps what it was sent."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.requests = []
        self.connections = 0

    async def __call__(self, reader, writer):
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines if line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((first.split()[0], first.split()[1], headers, body))
                step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
                if callable(step):
                    step(writer)
                else:
                    writer.write(step)
                    if b"Content-Length" not in step:
                        writer.close()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*steps, clock=None, **kwargs):
    server = Server(*steps)
    listener = await asyncio.start_server(server, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    server.time = clock or Time()
    server.seen = []
    server.budget = kwargs.pop("budget", None) or Budget(
        [(1000, 60)], now=server.time, sleep=server.time.sleep
    )
    client = Client(
        kwargs.pop("base", f"http://127.0.0.1:{server.port}"),
        server.budget,
        clock=server.time,
        sleep=server.time.sleep,
        on_request=lambda *told: server.seen.append(told),
        **kwargs,
    )
    try:
        yield server, client
    finally:
        await client.aclose()
        listener.close()
        await listener.wait_closed()
        await asyncio.sleep(0.01)  # lets the last connection tasks see their end
