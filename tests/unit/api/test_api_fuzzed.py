"""What schemathesis makes of the OpenAPI: no 500, nothing undescribed, no change without a role.

It calls the application itself, without a socket, with the same examples every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)
from sqlalchemy import select

from vagus.api.application import openapi
from vagus.clock import ManualClock
from vagus.model import Role
from vagus.state import tables
from vagus.state.db import open_database
from vagus.testing.office import ROLES, Office, furnish, settings_for

HOST = "127.0.0.1"
EXAMPLES = 12  # of each operation

# What is valid by its schema may still be wrong (there is no such licence), and what a route does
# not know (a parameter, a header) is left alone.
LENIENT = [positive_data_acceptance, negative_data_rejection]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder: Path = tmp_path_factory.mktemp("fuzzed")
    clock = ManualClock()
    with closing(open_database(f"sqlite:///{folder / 'vagus.db'}", clock)) as database:
        # Some checks call by a name of their own.
        office = furnish(database, clock, settings_for(folder, hosts=["testserver"]))
        office.app.state.feeds.ending.set()  # a feed that never ends is no answer to look at
        yield office


def operations() -> list[str]:
    """Method and path of each, without a state: for the names of the tests."""
    return [
        f"{method.upper()} {path}" for path, found in openapi()["paths"].items() for method in found
    ]


def kept(office: Office) -> object:
    """Everything but the ledger, which tells of refusals too."""
    with office.served.transaction() as connection:
        rows = [
            connection.execute(select(table)).all()  # type: ignore[attr-defined]
            for table in tables.metadata.sorted_tables
            if table is not tables.ledger
        ]
    return rows, list(office.woken)


@pytest.mark.parametrize("name", operations())
def test_an_operation_whatever_is_sent(office: Office, name: str) -> None:
    method, path = name.split()
    schema = schemathesis.openapi.from_dict(office.app.openapi())
    schema.app = office.app
    operation = schema[path][method]
    names = {
        "incident_id": office.incident().id,
        "proposal_id": office.proposal(rung=len(office.served.proposals.recent(99))).id,
        "licence_id": office.licence().id,
        "rollout_id": office.rollout("embed").id,
        "injection_id": office.injection().id,
    }
    least = operation.definition.raw.get("x-role")
    cases = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # what is found is said at once, not made smaller first
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, who=st.sampled_from([None, *ROLES]), real=st.booleans())
    def whatever(case: Case, who: str | None, real: bool) -> None:
        if real and case.path_parameters:  # a name that nobody guesses
            case.path_parameters.update({name: names[name] for name in case.path_parameters})
        before = kept(office)
        answer = case.call(base_url=f"http://{HOST}", headers=office.headers(who))
        assert answer.status_code < 500
        allowed = least is None or (who is not None and Role[who.upper()] >= Role[least.upper()])
        if not allowed:
            assert answer.status_code >= 400
            assert kept(office) == before
        elif method in ("POST", "PUT", "DELETE"):
            assert (answer.status_code < 400) or kept(office) == before
        else:
            assert kept(office) == before
        case.validate_response(answer, excluded_checks=LENIENT, headers=office.headers(who))

    whatever()
