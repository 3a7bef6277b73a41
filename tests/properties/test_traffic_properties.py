"""What holds of desired traffic whatever the overrides are."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from vagus.config import Kind
from vagus.model import Aspect, Override, Subject
from vagus.remediation.traffic import render
from vagus.topology import ComponentNode, Topology

NOW = 100.0
DECLARED = Topology(
    {
        name: ComponentNode(
            name,
            Kind.MODEL_SERVER,
            "generic",
            {f"{name}-{n}": f"http://127.0.0.1:{port + n}" for n in (1, 2, 3)},
        )
        for name, port in (("chat", 9100), ("embed", 9200))
    }
)
STRICTNESS = {"healthy": 0, "draining": 1, "unhealthy": 2}

subjects = st.builds(
    lambda component, n: Subject(component, f"{component}-{n}"),
    st.sampled_from(["chat", "embed"]),
    st.integers(1, 5),
)
values = st.one_of(
    st.tuples(st.just(Aspect.HEALTH), st.sampled_from(["unhealthy", "draining"])),
    st.tuples(st.just(Aspect.WEIGHT), st.sampled_from(["0.01", "0.25", "0.5", "1"])),
    st.tuples(st.just(Aspect.MEMBER), st.sampled_from(["", "http://127.0.0.1:9301"])),
)
overrides = st.builds(
    lambda subject, what, incident, at, until: Override(
        subject, what[0], what[1], incident, at, until
    ),
    subjects,
    values,
    st.sampled_from(["i1", "i2", "i3"]),
    st.sampled_from([1.0, 2.0, 3.0]),
    st.sampled_from([None, 50.0, NOW, 200.0]),
)
# As the table has it: one row per subject, aspect and incident.
tables = st.lists(overrides, max_size=12, unique_by=lambda o: (o.subject, o.aspect, o.incident))


@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[Override], shuffle: random.Random) -> None:
    shuffled: Sequence[Override] = shuffle.sample(rows, len(rows))
    assert render(DECLARED, shuffled, NOW) == render(DECLARED, rows, NOW)


@given(tables)
def test_without_the_rows_of_every_incident_it_is_the_declared_stack(rows: list[Override]) -> None:
    for incident in ("i1", "i2", "i3"):
        rows = [row for row in rows if row.incident != incident]
    assert render(DECLARED, rows, NOW) == render(DECLARED, [], NOW)


@given(tables)
def test_what_has_expired_changes_nothing(rows: list[Override]) -> None:
    alive = [row for row in rows if row.expires_at is None or row.expires_at > NOW]
    assert render(DECLARED, rows, NOW) == render(DECLARED, alive, NOW)


@given(tables, overrides)
def test_holding_back_more_never_gives_any_replica_more(
    rows: list[Override], more: Override
) -> None:
    if more.aspect is Aspect.MEMBER:
        return
    without = {e.replica: e for es in render(DECLARED, rows, NOW).values() for e in es}
    held = {e.replica: e for es in render(DECLARED, [*rows, more], NOW).values() for e in es}
    assert held.keys() == without.keys()
    for replica, endpoint in held.items():
        assert STRICTNESS[endpoint.health] >= STRICTNESS[without[replica].health]
        assert endpoint.share <= without[replica].share


@given(tables)
def test_no_component_is_ever_sent_empty(rows: list[Override]) -> None:
    assert all(render(DECLARED, rows, NOW).values())
