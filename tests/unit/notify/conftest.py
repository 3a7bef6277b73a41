from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vagus.clock import SystemClock
from vagus.state.db import Database, open_database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'vagus.db'}", SystemClock())
    yield database
    database.close()
