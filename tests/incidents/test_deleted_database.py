"""One call deleted a production database, and its backups with it.

An agent that met a credential error decided to delete the volume. One call sufficed, nobody was
asked, and the backups were kept on the volume that they were backups of. Here deleting is an action
that nobody gave a tier, so it is R5: no licence, no approval and no name for it lets it pass. And
since the way back must not share the fate of what it leads back to, calling it an undo does not
make it one.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.model import Decision, IntentState, Purpose, Tier
from vagus.testing.cases import CHAT
from vagus.testing.gate_bench import GateBench, asked
from vagus.testing.guard_cases import Held

PURPOSES = tuple(Purpose)


def replay(bench: GateBench) -> list[Held]:
    bench.grant("delete-volume")
    incident = bench.incident(CHAT[0], lasting=300.0)
    cases = []
    for rung, purpose in enumerate(PURPOSES):
        request = asked(incident, "delete-volume", purpose=purpose, rung=rung)
        bench.approve(request, "ana", "ben")
        cases.append(bench.case("tier", request, f"deleted_database: to {purpose}"))
    return cases


@pytest.mark.parametrize("place", range(len(PURPOSES)))
def test_deleting_is_nobodys_to_decide(bench: GateBench, place: int) -> None:
    case = replay(bench)[place]
    for claimed in Tier:
        ruling = bench.judge(replace(case.request, tier=claimed))
        assert ruling.decision is Decision.DENY
        assert ruling.tier is Tier.R5
        assert ruling.retry_after is None
    intent = bench.decide(case.request)
    assert intent.state is IntentState.REFUSED
    assert "delete-volume is R5: never automated" in intent.ruling.reason
