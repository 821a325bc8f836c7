"""Sockets that a service manager hands over, and the units in ``examples/systemd`` that make it do so."""

import fcntl
import os
import re
import signal
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon import doors, service
from daemon.cli import app as commands
from daemon.commands.common import Exit
from daemon.doors import DoorError
from daemon.handed import DOORS, handed
from daemon.settings import CREDENTIAL
from mapping.config import Server
from tests.durability.activator import PAUSES_S, TIMEOUT_S

UNITS = Path(__file__).parents[2] / "examples" / "systemd"


@contextmanager
def sockets(number):
    """So many descriptors in a row, as a new process would find them from 3 on; gives the first."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    first = max(each.fileno() for each in held) + 50
    try:
        for place, each in enumerate(held):
            os.dup2(each.fileno(), first + place)  # inheritable, as systemd leaves them
        yield first
    finally:
        for place, each in enumerate(held):
            os.close(first + place)
            each.close()


def told(number, names=None, pid=None):
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(number), "PATH": "/bin"} | (
        {"LISTEN_FDNAMES": names} if names else {}
    )


@pytest.mark.parametrize(
    "names", [None, "hooks:admin", "bookferry.socket:bookferry.socket", "unknown:unknown"]
)
def test_the_first_is_the_hook_door_and_the_second_the_admin_door(names):
    with sockets(2) as first:
        environ = told(2, names)
        assert handed(environ, first) == {"hooks": first, "admin": first + 1}
        assert environ == {"PATH": "/bin"}, "children are told nothing"
        for fd in (first, first + 1):
            assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_our_names_count_more_than_the_order():
    with sockets(2) as first:
        assert handed(told(2, "admin:hooks"), first) == {"admin": first, "hooks": first + 1}
        assert handed(told(1, "admin"), first) == {"admin": first}
        assert handed(told(1), first) == {"hooks": first}


def test_what_was_meant_for_another_process_is_left_alone():
    environ = told(2, pid=os.getpid() + 1)
    assert handed(environ) == {}
    assert environ == {"PATH": "/bin"}
    assert handed({"PATH": "/bin"}) == {}
    assert handed({"LISTEN_FDS": "2"}) == {}


@pytest.mark.parametrize(
    ("number", "names", "sentence"),
    [
        (3, None, "LISTEN_FDS=3: there are two doors"),
        ("x", None, "LISTEN_FDS=x: there are two doors"),
        (2, "hooks:hooks", "LISTEN_FDNAMES=hooks:hooks: 2 sockets need as many different names"),
        (2, "hooks:other", "Correct FileDescriptorName"),
        (2, "hooks", "out of hooks, admin"),
        (1, "hooks:admin", "1 sockets need"),
    ],
)
def test_a_wrong_number_and_wrong_names_are_told(number, names, sentence):
    with pytest.raises(DoorError, match=re.escape(sentence)):
        handed(told(number, names), 900)


def test_a_socket_that_was_only_announced():
    with pytest.raises(DoorError, match=r"server\.hooks: file descriptor 900 was announced and is not there"):
        handed(told(1), 900)


# The units.


def unit(name):
    """The keys of a unit file, each with all its values."""
    found = {}
    for line in (UNITS / name).read_text().splitlines():
        key, given, value = line.partition("=")
        if given and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def seconds(text):
    number, sort = re.fullmatch(r"(\d+)(ms|s|)", text).groups()
    return int(number) / (1000 if sort == "ms" else 1)


def test_the_socket_unit_holds_both_doors_where_the_configuration_has_them():
    held, server = unit("bookferry.socket"), Server()
    assert held["ListenStream"] == [str(getattr(server, door)) for door in DOORS]
    assert "Accept" not in held
    assert "FileDescriptorName" not in held, "one name for both would say nothing"


def test_the_service_unit_agrees_with_the_program():
    held = unit("bookferry.service")
    assert [each.partition(":")[0] for each in held["LoadCredential"]] == [CREDENTIAL]
    (started,) = held["ExecStart"]
    words = started.split()
    assert (Path(words[0]).name, words[1], words[-1]) == ("bookferry", "--config", "run")
    assert "run" in {command.name or command.callback.__name__ for command in commands.registered_commands}
    assert int(held["RestartPreventExitStatus"][0]) == Exit.CONFIGURATION
    assert held["Requires"] == ["bookferry.socket"]


def test_the_service_unit_leaves_time_to_end():
    held = unit("bookferry.service")
    assert getattr(signal, held["KillSignal"][0]) in service.SIGNALS
    assert seconds(held["TimeoutStopSec"][0]) > service.DRAIN_S + service.GRACE_S * len(DOORS)


def test_the_service_unit_is_back_before_a_sender_gives_up():
    """Bookatu's last attempt is the one that must find us."""
    started = 5.0
    assert seconds(unit("bookferry.service")["RestartSec"][0]) + started < sum(PAUSES_S) + 3 * TIMEOUT_S


def test_whoever_waited_through_a_restart_is_taken_in():
    (backlog,) = unit("bookferry.socket")["Backlog"]
    (files,) = unit("bookferry.service")["LimitNOFILE"]
    assert int(backlog) < doors.CONNECTIONS
    assert int(files) >= 4 * doors.CONNECTIONS, (
        "for a moment there are twice as many, and others need some too"
    )


def test_a_hardened_service_may_do_what_it_must():
    held = unit("bookferry.service")
    assert {"AF_INET", "AF_INET6"} <= set(held["RestrictAddressFamilies"][0].split())
    assert held["DynamicUser"] == held["NoNewPrivileges"] == ["yes"]
    assert held["StateDirectory"] == ["bookferry"]
