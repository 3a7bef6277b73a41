"""Reddit, 2016: off stays off.

The autoscaler was switched off for a migration. A package manager found that somebody had changed
what it managed, put it back, and the autoscaler, awake in the middle of the move, ended most of the
servers by an old plan. Here what a person has switched off is kept where no configuration reaches,
and it outweighs whatever else allows: mode, licence, approval.
"""

from __future__ import annotations

from vagus.config import Mode, PolicySettings
from vagus.model import IntentState, Purpose
from vagus.policy.stop import stop_file
from vagus.testing.cases import CHAT
from vagus.testing.gate_bench import GateBench, asked
from vagus.testing.guard_cases import Held


def replay(bench: GateBench) -> list[Held]:
    switch = bench.folder / "vagus.stop"
    switch.write_text("ada: migrating, call me\n")
    # A second controller puts everything back as it was configured, and starts us anew.
    bench.mode = Mode.AUTO
    bench.policy = PolicySettings.model_validate({"kill_switch": str(switch)})
    bench.stopped = stop_file(bench.policy.kill_switch)
    bench.grant("replace")
    incident = bench.incident(CHAT[0])
    rollback = asked(incident, "rollback", rung=2)
    bench.stopped = None
    bench.approve(rollback, "ben")
    bench.stopped = stop_file(bench.policy.kill_switch)
    name = "reddit_autoscaler"
    contain = asked(incident, "eject", purpose=Purpose.CONTAIN)
    return [
        bench.case("kill_switch", contain, f"{name}: eject"),
        bench.case("kill_switch", asked(incident), f"{name}: restart"),
        bench.case("kill_switch", asked(incident, "replace"), f"{name}: what has a licence"),
        bench.case("kill_switch", rollback, f"{name}: what was approved"),
    ]


def test_off_stays_off(bench: GateBench) -> None:
    for case in replay(bench):
        intent = bench.decide(case.request)
        assert intent.state is IntentState.REFUSED
        assert "kill_switch: migrating, call me (ada)" in intent.ruling.reason
        assert intent.ruling.retry_after is None


def test_traffic_may_still_be_given_back(bench: GateBench) -> None:
    replay(bench)
    bench.hold(CHAT[1], "unhealthy")
    back = asked(bench.incident(CHAT[1]), "restore", purpose=Purpose.RETURN)
    assert bench.decide(back).state is IntentState.WRITTEN
