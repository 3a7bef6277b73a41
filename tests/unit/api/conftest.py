"""The API over real stores, called without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from vagus.clock import ManualClock
from vagus.state.db import Database, open_database
from vagus.testing.office import Office, furnish, settings_for


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start=1_000_000.0)


@pytest.fixture
def database(tmp_path: Path, clock: ManualClock) -> Iterator[Database]:
    with closing(open_database(f"sqlite:///{tmp_path / 'vagus.db'}", clock)) as database:
        yield database


@pytest.fixture
def office(database: Database, clock: ManualClock, tmp_path: Path) -> Office:
    return furnish(database, clock, settings_for(tmp_path))


@pytest.fixture
async def nobody(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with office.client() as client:
        yield client


@pytest.fixture
async def viewer(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with office.client("viewer") as client:
        yield client


@pytest.fixture
async def operator(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with office.client("operator") as client:
        yield client


@pytest.fixture
async def approver(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with office.client("approver") as client:
        yield client


@pytest.fixture
async def admin(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with office.client("admin") as client:
        yield client
