"""The log says what happened and to what, and nothing about anybody."""

import json
import logging
import subprocess
import sys

import pytest
import structlog

from daemon import logs


@pytest.fixture
def restored():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs._QUIET}
    yield
    root.handlers[:], root.level = before[0], before[1]
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


def lines(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


PLANTED = ("zoe@example.com", "whsec_abc", "bk_live_abc", "Zoë Planted", "+64215550100", "hunter2")


def planted(log):
    log.warning(
        "webhook.refused",
        connection="salon",
        why="signature",
        email="zoe@example.com",
        first_name="Zoë Planted",
        phoneNumber="+64215550100",
        apiKey="hunter2",
        api_key="hunter2",
        client_secret="hunter2",
        Authorization="Bearer hunter2",
        payload=b"hunter2",
        body={"a": "hunter2"},
        problem="no mail to zoe@example.com with whsec_abc or Bearer hunter2",
        more={"row": [{"access_token": "hunter2", "ref": "apt_1"}], "bytes": b"hunter2"},
    )


@pytest.mark.parametrize("as_json", [True, False])
def test_nothing_private_is_printed(capsys, restored, as_json):
    logs.configure("INFO", as_json)
    planted(structlog.get_logger())
    text = capsys.readouterr().err
    assert not [word for word in PLANTED if word in text]
    assert "webhook.refused" in text
    assert "salon" in text
    assert "apt_1" in text


def test_a_line_is_an_action_with_ids(capsys, restored):
    logs.configure("INFO", json=True)
    structlog.get_logger().info("pulled", connection="salon", kind="bookings", ref="apt_1", n=3)
    structlog.get_logger().debug("unseen")
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "action": "pulled",
        "level": "info",
        "connection": "salon",
        "kind": "bookings",
        "ref": "apt_1",
        "n": 3,
    }


def test_an_exception_is_told_by_its_place(capsys, restored):
    logs.configure("INFO", json=True)
    try:
        int("Zoë Planted said hunter2")
    except ValueError:
        structlog.get_logger().exception("failed", connection="salon")
        logging.getLogger("somebody.else").exception("their failure")
    own, theirs = lines(capsys)
    for line in (own, theirs):
        assert line["error"] == "ValueError"
        assert "test_an_exception_is_told_by_its_place" in line["where"][0]
        assert "Planted" not in json.dumps(line, ensure_ascii=False)
    assert (theirs["action"], theirs["message"]) == ("somebody.else", "their failure")


def test_other_libraries_speak_in_the_same_form_and_only_when_it_matters(capsys, restored):
    logs.configure("DEBUG", json=True)
    for name in ("httpx", "aiohttp.client", "apscheduler.scheduler"):
        logging.getLogger(name).info("GET /people?email=zoe@example.com")
        logging.getLogger(name).warning("to %s", "zoe@example.com")
    said = lines(capsys)
    assert [line["action"] for line in said] == [
        "httpx",
        "aiohttp.client",
        "apscheduler.scheduler",
    ]
    assert {line["message"] for line in said} == {f"to {logs.GONE}"}


def test_configured_twice_it_prints_once(capsys, restored):
    logs.configure("INFO", json=True)
    logs.configure("WARNING", json=True)
    structlog.get_logger().info("unseen")
    structlog.get_logger().warning("seen")
    assert [line["action"] for line in lines(capsys)] == ["seen"]


def test_the_import_is_cheap():
    code = "import sys, daemon.logs; sys.exit('structlog' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
