import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database as Tables

from state.database import Tx, connect
from state.migrations import migrate


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "bookferry.db"
    made = connect(path)
    migrate(Tables(made), path)
    yield made
    made.close()


@pytest.fixture
def tx(connection: sqlite3.Connection) -> Tx:
    return Tx(connection)
