"""`bookferry alert`: whether the address of alerts works."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from cli_stage import CONFIG, call


@contextmanager
def endpoint(status):
    taken = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = Thread(target=server.handle_request)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/secret-part", taken
    thread.join(10)
    server.server_close()


def alert(folder, url=None):
    (folder / "bookferry.yaml").write_text((f"alerts: {{url: '{url}'}}\n" if url else "") + CONFIG)
    return call(folder, "alert")


def test_a_trial_message_is_sent(tmp_path):
    with endpoint(200) as (url, taken):
        done = alert(tmp_path, url)
    assert (done.returncode, done.stdout) == (0, "Sent. See whether it has arrived at 127.0.0.1.\n")
    assert [(each["event"], "trial" in each["text"]) for each in taken] == [("trial", True)]


def test_an_endpoint_that_refuses_is_told_without_its_address(tmp_path):
    with endpoint(403) as (url, _taken):
        done = alert(tmp_path, url)
    assert (done.returncode, done.stderr) == (
        1,
        "bookferry: the alert was not delivered: 127.0.0.1 answered 403.\n",
    )


def test_without_an_address_the_command_says_what_to_add(tmp_path):
    done = alert(tmp_path)
    assert (done.returncode, "has no `alerts:`" in done.stderr) == (1, True)
