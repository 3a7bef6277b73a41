"""What holds for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from vagus.testing.postgres import Server, running

# The same examples every time, however slow the machine is at the moment: a test that is red on one
# machine is red on all. To search further: pytest --hypothesis-profile=default
settings.register_profile("vagus", deadline=None, derandomize=True)
settings.load_profile("vagus")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A Postgres server, started for the first test that asks, one for each worker."""
    with running() as server:
        yield server
