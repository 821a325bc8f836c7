"""Listening sockets from the service manager, by systemd's protocol: it holds them, and with them whoever connects
while the service is being started anew.
"""

import os
from collections.abc import MutableMapping

from daemon.doors import DoorError

DOORS = ("hooks", "admin")
"""The names of the doors, in the order in which sockets without these names are taken."""

_FIRST = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def handed(environ: MutableMapping[str, str], first: int = _FIRST) -> dict[str, int]:
    """The file descriptors that were handed to this process, by door; empty where there are none.

    They are ours alone from here on: closed in children, and told to nobody else. Raises DoorError.
    """
    pid, number, names = (environ.pop(name, None) for name in _VARIABLES)
    if number is None or pid != str(os.getpid()):
        return {}
    if not number.isdecimal() or int(number) > len(DOORS):
        raise DoorError(
            f"LISTEN_FDS={number}: there are two doors, so the socket unit has at most two ListenStream lines,"
            " the hook door's first."
        )
    found = {name: first + place for place, name in enumerate(_named(names, int(number)))}
    for name, fd in found.items():
        try:
            os.set_inheritable(fd, False)
        except OSError as error:
            raise DoorError(
                f"server.{name}: file descriptor {fd} was announced and is not there. Check the service's socket unit."
            ) from error
    return found


def _named(names: str | None, number: int) -> tuple[str, ...]:
    """Which door each is for. The sockets of one unit share one name, so only our own names say more than the order."""
    told = tuple((names or "").split(":"))
    if not set(told) & set(DOORS):
        return DOORS[:number]
    if len(told) != number or len(set(told)) != number or set(told) - set(DOORS):
        raise DoorError(
            f"LISTEN_FDNAMES={names}: {number} sockets need as many different names out of {', '.join(DOORS)}, or none"
            " of these. Correct FileDescriptorName in the socket units."
        )
    return told
