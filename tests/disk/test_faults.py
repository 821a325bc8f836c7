"""A disk that is full, read-only, slow or broken: one clear sentence, nothing acknowledged lost, and on by itself."""

import asyncio
import json
import os
import re
import socket
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from commanded import alive
from faulty import FAULTS
from harbour import harbour

from connectors.sandbox import iso
from state.database import reading

ROOT = Path(__file__).parents[2]
LOOKS = [("status",), ("plan",)]
ACTS = [("arm", "reviews"), ("sync",)]


def book(port, who, days):
    starts = (port.salon.now() + timedelta(days=days)).replace(hour=10, minute=0, second=0, microsecond=0)
    return port.salon.act(
        "create_appointment", service_id="svc_abc123", start_at=iso(starts), customer_id=who
    )


def ann(port):
    return port.salon.act(
        "add_customer", name="Ann Example", email="ann@example.com", phone="+64 21 555 0100"
    )


async def until(true):
    async with asyncio.timeout(30):
        while not await true():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def shell(disk, port):
    """Commands in a process whose disk can fail."""
    (disk.folder / "bookferry.yaml").write_text(port.yaml)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.disk.shell",
        str(disk.folder),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **disk.env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1_000_000,
    )

    async def command(*words):
        given = {"words": words, "env": {"BOOKFERRY_KEY": port.key}}
        process.stdin.write(json.dumps(given).encode() + b"\n")
        answer = await asyncio.wait_for(process.stdout.readline(), 60)
        code, out, err = json.loads(answer)
        assert "Traceback" not in out + err, err
        return code, out, err

    try:
        yield command
    finally:
        process.stdin.close()
        await process.wait()


def sentences(err):
    return [line for line in err.splitlines() if line.startswith("bookferry: ")]


async def test_every_command_on_a_failing_disk_says_one_sentence_and_goes_on_when_it_is_good(disk):
    async with harbour(disk.folder) as port:
        port.salon.seed(people=5, bookings=5)
        async with shell(disk, port) as command:
            assert (await command("sync"))[0] == 0
            who = ann(port)
            for number, (name, fault) in enumerate(FAULTS.items()):
                book(port, who, 3 + number)
                disk.fail(**fault)
                for words in (*LOOKS, *ACTS):
                    code, _, err = await command(*words)
                    said = sentences(err)
                    if code != 0 or words in ACTS:
                        assert (code, len(said)) == (1, 1), (name, words, code, err)
                        assert said[0].startswith(f"bookferry: {port.path}: "), said
                        assert re.search(r"\. [A-Z].*\.$", said[0]), f"no remedy: {said[0]}"
                assert disk.failed, name
                disk.heal()
                code, out, err = await command("sync", "--json")
                assert (code, json.loads(out)["changes"] > 0) == (0, True), (name, err)
            code, _, err = await command("arm", "reviews")
            assert code == 0, err
    with reading(port.path) as tx:
        assert tx.value("PRAGMA integrity_check") == "ok"


@asynccontextmanager
async def service(disk, port):
    """The service in a process whose disk can fail; gives its admin address and what it has said."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        door = f"127.0.0.1:{free.getsockname()[1]}"
    port.secret = port.salon.act("add_webhook", url=f"http://{door}/hooks/salon")
    doors = f'server: {{hooks: "{door}", admin: "127.0.0.1:0"}}\n'
    text = port.yaml.replace("slug: ", 'poll: "1s", slug: ')
    (disk.folder / "bookferry.yaml").write_text(doors + text)
    said = []
    async with alive(disk.folder, "run", BOOKFERRY_KEY=port.key, **disk.env) as process:

        async def listen():
            while line := await process.stdout.readline():
                said.append(line.decode())

        listening = asyncio.create_task(listen())

        async def started():
            return any('"started"' in line for line in said)

        await until(started)
        (line,) = [line for line in said if '"started"' in line]
        yield json.loads(line)["admin"], said
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0, said
        await listening
    assert "Traceback" not in "".join(said), "".join(said)


@pytest.mark.parametrize(
    "faults",
    [("full", "fsync"), pytest.param(("read-only", "broken"), marks=pytest.mark.campaign)],
    ids=" ".join,
)
async def test_the_service_answers_503_while_the_disk_fails_and_goes_on_by_itself(disk, faults):
    async with harbour(disk.folder) as port:
        who = ann(port)
        await port.pass_()
        await port.arm("reviews")
        async with service(disk, port) as (admin, said), httpx.AsyncClient() as client:

            async def healthy():
                return (await client.get(f"http://{admin}/healthz")).status_code == 200

            async def ill():
                return not await healthy()

            for number, name in enumerate(faults):
                disk.fail(**FAULTS[name])
                made = book(port, who, 3 + number)
                await port.salon.quiet()
                refused = port.salon.deliveries[-1]
                assert {attempt.status for attempt in refused.attempts} == {503}, (name, refused)
                await until(ill)
                disk.heal()
                port.salon.redeliver(len(port.salon.deliveries) - 1)
                await port.salon.quiet()
                assert port.salon.deliveries[-1].state == "delivered", name
                await until(healthy)

                async def carried(made=made):
                    with reading(port.path) as tx:
                        return tx.value(
                            "SELECT count(*) FROM record r JOIN record t ON t.joined = r.id WHERE r.ref = :r",
                            r=made,
                        )

                await until(carried)
            disk.fail(delay_us=100_000)
            port.salon.hold_webhooks()
            for number in range(10):
                book(port, who, 10 + number)
            slow = port.salon.release_webhooks()
            await port.salon.quiet()
            assert {delivery.state for delivery in slow} == {"delivered"}
            disk.heal()
        told = [line for line in said if "store_unavailable" in line]
        assert told
        assert all(str(port.path) in line for line in told)
        first, second = await port.pass_(), await port.pass_()
        assert (first["parked"], first["open"], first["problems"]) == (0, 0, {})
        assert (second["writes"], second["changes"]) == (0, 0)
        assert len(port.bookings()) == len(faults) + 10, "none is lost, none is doubled"
        with reading(port.path) as tx:
            assert tx.value("SELECT count(*) FROM inbox WHERE state = 'done'") == len(faults) + 10


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("spared", range(0, 120, 3))
async def test_a_pass_on_a_disk_that_fails_at_any_call_is_made_good_by_the_next(disk, fault, spared):
    async with harbour(disk.folder) as port:
        port.salon.seed(people=5, bookings=5)
        async with shell(disk, port) as command:
            assert (await command("sync"))[0] == 0
            assert (await command("arm", "reviews"))[0] == 0
            who = ann(port)
            for days in (3, 4, 5):
                book(port, who, days)
            disk.fail(**FAULTS[fault], spared=spared)
            code, _, err = await command("sync")
            assert code == 0 or len(sentences(err)) == 1, err
            disk.heal()
            for _ in range(2):
                code, out, err = await command("sync", "--json")
                assert code == 0, err
            assert json.loads(out)["writes"] == 0
        marks = [tag for row in port.bookings() for tag in row["tags"] if tag.startswith("bookferry-")]
        assert (len(marks), len(set(marks))) == (3, 3)
