from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vagus.clock import ManualClock
from vagus.state.db import Database, open_database


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start=1_000_000.0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'vagus.db'}"


@pytest.fixture
def database(url: str, clock: ManualClock) -> Iterator[Database]:
    database = open_database(url, clock)
    yield database
    database.close()
