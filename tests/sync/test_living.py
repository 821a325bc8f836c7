"""The commands that stay: they come up, do their work, and end when they are told to."""

import asyncio
import re
import signal

import httpx
import pytest
from commanded import alive
from harbour import harbour


async def until(process, *words):
    """Read what it says until each word was said."""
    missing, said = set(words), ""
    async with asyncio.timeout(30):
        while missing:
            line = (await process.stdout.readline()).decode()
            assert line, f"it ended: {said}"
            said += line
            missing = {word for word in missing if word not in line}
    return said


async def ended(process, number):
    process.send_signal(number)
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert "Traceback" not in out.decode()
    return process.returncode, out.decode()


@pytest.mark.parametrize("poll", ["5m", "1s", "*/5 * * * *"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_service_polls_at_its_start_and_ends_when_told(tmp_path, poll, number):
    home = tmp_path / "home"
    home.mkdir()
    async with harbour(home) as port:
        text = port.yaml.replace("slug: ", f'poll: "{poll}", slug: ').replace(
            "client_id: ", f'poll: "{poll}", client_id: '
        )
        doors = 'server: {hooks: "127.0.0.1:0", admin: "127.0.0.1:0"}\n'
        (home / "bookferry.yaml").write_text(doors + text)
        async with alive(home, "run", "--log", "debug", BOOKFERRY_KEY=port.key) as process:
            said = await until(process, '"started"')
            while not ('"salon"' in said and '"reviews"' in said):
                said += await until(process, '"pulled"')
            code, _ = await ended(process, number)
        assert code == 0
        assert port.writes() == []
        assert (await port.pass_())["problems"] == {}, "the store is whole and nobody holds it"


async def test_the_live_demo_ends_with_a_summary(tmp_path):
    async with alive(tmp_path, "demo") as process:
        said = await until(process, "Ctrl-C ends it")
        boxes = dict(re.findall(r"(\w+) +(http://\S+/_sandbox)\n", said))
        assert list(boxes) == ["Bookatu", "NearbyAssist", "Nowistay", "NiceJob"]
        await until(process, "new appointment")
        async with httpx.AsyncClient(verify=False) as client:
            stay = {"guestName": "Zoë Player", "guestEmail": "zoe@example.com"}
            days = {"arrival": "2036-07-14", "departure": "2036-07-18"}
            made = await client.post(f"{boxes['Nowistay']}/act/add_booking", json=stay | days)
            await _shown(client, boxes["Nowistay"], "missions", bookingId=made.json()["result"])
            await client.post(f"{boxes['Bookatu']}/clock", json={"set": "2036-07-19T00:00:00Z"})
            await _shown(client, boxes["NiceJob"], "people", email="zoe@example.com")
        code, said = await ended(process, signal.SIGINT)
    assert (code, "Every fact holds" in said) == (0, True), said


async def _shown(client, box, kind, **wanted):
    """Wait until a stand-in holds such a row."""
    async with asyncio.timeout(20):
        while True:
            rows = (await client.get(f"{box}/state")).json()["result"]["rows"][kind]
            if [row for row in rows if wanted.items() <= row.items()]:
                return
            await asyncio.sleep(0.1)


async def test_a_sandbox_ends_quietly(tmp_path):
    async with alive(tmp_path, "sandbox", "nicejob", "bookatu") as process:
        await until(process, "connections:")
        assert (await ended(process, signal.SIGINT))[0] == 0
