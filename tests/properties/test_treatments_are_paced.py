"""However often, about whom and in whatever order treatments are asked for: in no period are more
replicas treated than the budget allows, a replica rests between its treatments, and what is refused
is allowed after the wait that was named."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.model import Decision, Intent, IntentState, Subject
from vagus.policy.gate import judge
from vagus.policy.guards.budget import budget
from vagus.policy.guards.cooldown import cooldown
from vagus.testing.cases import NOW, a_policy, a_request, an_intent, some_facts

PERIOD = 600.0
COOLDOWN = 60.0
ASKED = st.lists(
    st.tuples(st.floats(0.0, 400.0), st.integers(0, 9)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 10), share=st.integers(0, 100), asked=ASKED)
def test_pace(size: int, share: int, asked: list[tuple[float, int]]) -> None:
    replicas = [Subject("chat", f"chat-{n}") for n in range(size)]
    places = max(1, size * share // 100)
    policy = a_policy(budget=f"{share}% per {PERIOD:.0f}s", cooldown=f"{COOLDOWN:.0f}s")
    now, done = NOW, list[Intent]()
    for rung, (pause, number) in enumerate(asked):
        now += pause
        request = a_request(target=replicas[number % size], rung=rung)
        facts = some_facts(
            now=now,
            policy=policy,
            replicas=frozenset(replicas),
            recent=tuple(i for i in done if i.created_at > now - 3600.0),
        )
        ruling = judge(request, facts, (budget, cooldown))
        if ruling.decision is Decision.DENY:
            wait = ruling.retry_after
            assert wait is not None
            assert 0 < wait <= 3600.0
            later = replace(facts, now=now + wait + 1e-6)
            assert judge(request, later, (budget, cooldown)).decision is Decision.ALLOW
            continue
        intent = replace(an_intent(request, IntentState.APPLIED), created_at=now, acted_at=now)
        assert_rested(done, intent)
        done.append(intent)
        window = {i.request.remedy.target for i in done if now - i.created_at < PERIOD}
        assert len(window) <= places


def assert_rested(done: list[Intent], new: Intent) -> None:
    """Two treatments of one replica are a cooldown apart; with more within the hour, twice, ..."""
    same = [
        i.created_at
        for i in done
        if i.request.remedy.target == new.request.remedy.target
        and new.created_at - i.created_at < 3600.0
    ]
    if same:
        rest = min(COOLDOWN * 2 ** (len(same) - 1), 3600.0)
        assert new.created_at - same[-1] >= rest - 1e-6
