"""``-p tests.naive.plugin --naive NAME``: one protection is off in the whole run. ``--prove JSON``: node → switches.

``--outcomes FILE``: node → whether it passed, as JSON. ``--but FILE``: the nodes of this list are left out.
"""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from tests.naive.switches import SWITCHES, naive


def pytest_addoption(parser):
    group = parser.getgroup("naive")
    group.addoption("--naive", metavar="NAME", help=f"turn one protection off: {', '.join(SWITCHES)}")
    group.addoption("--prove", metavar="JSON", help="node id → switches; each node runs under each of them")
    group.addoption("--outcomes", metavar="FILE", help="write there which nodes passed")
    group.addoption("--but", metavar="FILE", help="a list of nodes that are left out")


def pytest_configure(config):
    config.naive, config.proofs = ExitStack(), []
    if config.getoption("--outcomes") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(Path(config.getoption("--outcomes"))), "outcomes")
    if name := config.getoption("--naive"):
        if name not in SWITCHES:
            raise pytest.UsageError(f"there is no switch {name!r}; there are: {', '.join(SWITCHES)}")
        config.naive.enter_context(naive(name))


class Outcomes:
    """Which nodes passed, from all workers."""

    def __init__(self, file):
        self.file, self.passed = file, {}

    def pytest_runtest_logreport(self, report):
        if not report.skipped:
            self.passed[report.nodeid] = self.passed.get(report.nodeid, True) and report.passed

    def pytest_sessionfinish(self):
        self.file.write_text(json.dumps(self.passed))


def pytest_collection_modifyitems(config, items):
    if config.getoption("--but"):
        left_out = set(json.loads(Path(config.getoption("--but")).read_text()))
        items[:] = [item for item in items if item.nodeid not in left_out]


def pytest_unconfigure(config):
    config.naive.close()


def pytest_terminal_summary(terminalreporter, config):
    for line in ["", *config.proofs]:
        terminalreporter.write_line(line)


def pytest_runtest_protocol(item, nextitem):
    """Run a node once under each of its switches; what passes all the same is said."""
    if not (wanted := item.config.getoption("--prove")):
        return None
    for name in json.loads(wanted).get(item.nodeid, []):
        item._initrequest()
        with naive(name):
            reports = runtestprotocol(item, log=False, nextitem=item)
        failed = any(report.failed for report in reports)
        item.config.proofs.append(f"proof: {name} {item.nodeid} {'broken' if failed else 'NOT BROKEN'}")
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
