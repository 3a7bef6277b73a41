"""Every store is tried on both databases that can hold the state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vagus.clock import ManualClock
from vagus.state.db import Database, open_database
from vagus.testing.postgres import Server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start=1_000_000.0)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'vagus.db'}"
    server: Server = request.getfixturevalue("postgres")
    return server.empty_state()


@pytest.fixture
def database(url: str, clock: ManualClock) -> Iterator[Database]:
    database = open_database(url, clock)
    yield database
    database.close()
