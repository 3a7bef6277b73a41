"""A gate over real tables, for each replay one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vagus.testing.gate_bench import GateBench, gate_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[GateBench]:
    with gate_bench(tmp_path) as bench:
        yield bench
