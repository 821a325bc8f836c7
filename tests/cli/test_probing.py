"""`probe` and `sandbox` as a user meets them, against the stand-in."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

from cli_stage import ROOT, call, told

CONFIG = """\
connections:
  market:
    platform: nearbyassist
    base_url: {url}
    api_key: {key}
"""


@contextmanager
def standing():
    """`bookferry sandbox nearbyassist`; gives the configuration that it prints."""
    command = [sys.executable, "-m", "daemon.cli", "sandbox", "nearbyassist"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        lines = []
        while "poll" not in (line := process.stdout.readline()):
            assert line, "it ended without a configuration"
            lines.append(line)
        try:
            yield "".join(lines)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)


def test_a_sandbox_is_probed_with_the_configuration_that_it_prints(tmp_path):
    with standing() as text:
        (tmp_path / "bookferry.yaml").write_text(text)
        done = call(tmp_path, "probe", "my-nearbyassist")
        assert done.returncode == 0, done.stderr
        assert "bookings[].customer.email: an e-mail address" in done.stdout
        assert "@example.com" not in done.stdout
        assert "The settings fit." in done.stdout
        url = re.search(r"base_url: (\S+)", text)[1]
        key = re.search(r"api_key: (\S+)", text)[1]
        other = CONFIG.format(url=url, key=key) + "    fields: {start: begins, bookings: rows}\n"
        (tmp_path / "bookferry.yaml").write_text(other)
        done = call(tmp_path, "probe", "market")
        assert 'start: "startTime"' in done.stdout
        assert 'bookings: "bookings"' in done.stdout
        told_json = told(call(tmp_path, "probe", "market", "--json"))
        assert told_json["settings"] == {"fields": {"bookings": "bookings", "start": "startTime"}}
        assert call(tmp_path, "check", "--online").returncode == 4


def test_an_unknown_connection_and_unknown_settings_say_what_there_is(tmp_path):
    file = tmp_path / "bookferry.yaml"
    file.write_text(CONFIG.format(url="http://127.0.0.1:9", key="na_live_typed_in"))
    done = call(tmp_path, "probe", "markt")
    assert done.returncode == 1
    assert 'did you mean "market"' in done.stderr
    done = call(tmp_path, "probe", "market")
    assert done.returncode == 1
    assert "no answer" in done.stdout
    assert "fit" not in done.stdout
    file.write_text(
        CONFIG.format(url="http://127.0.0.1:9", key="na_live_typed_in") + "    fields: {strat: x}\n"
    )
    done = call(tmp_path, "check")
    assert done.returncode == 2
    assert 'did you mean "start"' in done.stderr
    file.write_text(
        CONFIG.format(url="http://127.0.0.1:9", key="na_live_typed_in") + "    email: a@b.example\n"
    )
    assert "two ways in" in call(tmp_path, "check").stderr
