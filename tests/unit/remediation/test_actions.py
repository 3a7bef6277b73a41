"""Actions on the real table of overrides, with a gateway and a runtime that can be told to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from vagus import config
from vagus.clock import ManualClock
from vagus.errors import ActionError, MalformedData, NotAcknowledged, TargetUnreachable, VagusError
from vagus.model import Aspect, Endpoint, Override, Remedy, Rollout, Subject, Traffic
from vagus.remediation import NAMES, actions
from vagus.remediation.action import Action, Order, World
from vagus.remediation.traffic import reconcile, render
from vagus.state.db import open_database
from vagus.state.overrides import Overrides
from vagus.state.rollouts import Rollouts
from vagus.topology import Topology

CHAT_1, CHAT_2, CHAT_4 = (Subject("chat", f"chat-{n}") for n in (1, 2, 4))
DECLARED = Topology.declared(
    config.parse(
        """
stack:
  chat:
    kind: model-server
    replicas: {chat-1: "http://127.0.0.1:1", chat-2: "http://127.0.0.1:2"}
  plain: {kind: pipeline, replicas: {plain-1: "http://127.0.0.1:7"}}
"""
    )
)


class Gateway:
    """Follows at once, unless it is told to fail."""

    def __init__(self) -> None:
        self.traffic: dict[str, tuple[Endpoint, ...]] = {}
        self.operations: list[str] = []
        self.fails: VagusError | None = None
        self.held_up: dict[str, asyncio.Event] = {}  # operations that wait for an event

    async def apply(self, traffic: Traffic, operation: str) -> None:
        if operation in self.held_up:
            await self.held_up[operation].wait()
        if self.fails is not None:
            raise self.fails
        self.traffic |= traffic
        self.operations.append(operation)

    async def ejected(self) -> frozenset[Subject]:
        return frozenset()

    def endpoint(self, subject: Subject) -> Endpoint | None:
        of_it = [e for e in self.traffic[subject.component] if e.replica == subject.replica]
        return of_it[0] if of_it else None


class Runtime:
    """Remembers what it was told; breaks off at the order named by ``dies_at``."""

    def __init__(self) -> None:
        self.there = {"chat-1": "http://127.0.0.1:1", "chat-2": "http://127.0.0.1:2"}
        self.added: dict[str, Endpoint] = {}
        self.restarted: list[tuple[str, str]] = []
        self.versions = {"chat-1": "v2", "chat-2": "v1"}
        self.dies_at = ""
        self.dies_of: BaseException = asyncio.CancelledError()

    def _reach(self, order: str) -> None:
        if order == self.dies_at:
            raise self.dies_of

    async def restart(self, subject: Subject, token: str) -> None:
        self._reach("restart")
        self.restarted.append((subject.replica, token))

    async def deploy(self, subject: Subject, version: str, token: str) -> None:
        self._reach("deploy")
        self.restarted.append((subject.replica, token))
        self.versions[subject.replica] = version

    async def version(self, subject: Subject) -> str:
        self._reach("version")
        return self.versions[subject.replica]

    async def add(self, component: str, token: str) -> Endpoint:
        if token not in self.added:
            name = next(f"chat-{n}" for n in range(4, 9) if f"chat-{n}" not in self.there)
            self.added[token] = Endpoint(name, f"http://127.0.0.1:{name[-1]}")
            self.there[name] = self.added[token].address
        self._reach("add")
        return self.added[token]

    async def remove(self, subject: Subject, token: str) -> None:
        self._reach("remove")
        del self.there[subject.replica]

    async def replicas(self, component: str) -> Mapping[str, str]:
        self._reach("replicas")
        return self.there


class Bench:
    def __init__(self, overrides: Overrides, rollouts: Rollouts) -> None:
        self.rollouts = rollouts
        self.clock = ManualClock(1_000.0)
        self.gateway, self.runtime, self.overrides = Gateway(), Runtime(), overrides
        self.world = World(
            clock=self.clock,
            declared=DECLARED,
            overrides=overrides,
            gateway=self.gateway,
            routed=lambda component: component == "chat",
            runtimes={"chat": self.runtime},
            rollouts=rollouts,
        )
        self.actions = actions(self.world)

    def order(
        self, action: str, target: Subject = CHAT_1, share: float = 0.0, incident: str = "i1"
    ) -> tuple[Action, Order]:
        remedy = Remedy(action, target, share)
        order = Order(f"{incident}:1:0:1", incident, remedy, expires_at=1_060.0)
        return self.actions[action], order

    async def do(self, *args: object, **kwargs: object) -> None:
        action, order = self.order(*args, **kwargs)  # type: ignore[arg-type]
        await action.apply(order)
        assert await action.confirm(order) is not False

    def rows(self) -> set[tuple[str, Aspect, str]]:
        return {(row.subject.replica, row.aspect, row.value) for row in self.overrides.all()}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    database = open_database(f"sqlite:///{tmp_path / 'vagus.db'}", ManualClock())
    yield Bench(Overrides(database), Rollouts(database))
    database.close()


def test_every_action_is_known_by_its_own_name(bench: Bench) -> None:
    assert {name: action.name for name, action in bench.actions.items()} == {n: n for n in NAMES}


@pytest.mark.parametrize(("action", "health"), [("eject", "unhealthy"), ("drain", "draining")])
async def test_holding_traffic_away_and_giving_it_back(
    bench: Bench, action: str, health: str
) -> None:
    act, order = bench.order(action)
    assert await act.confirm(order) is False

    await act.apply(order)

    held = bench.gateway.endpoint(CHAT_1)
    assert held is not None
    assert held.health == health
    assert bench.gateway.operations == [order.token]
    assert await act.confirm(order) is True
    (row,) = bench.overrides.all()
    assert row == Override(CHAT_1, Aspect.HEALTH, health, "i1", 1_000.0, 1_060.0)

    await act.undo(order)
    assert bench.gateway.traffic == {"chat": render(DECLARED, [], 0.0)["chat"]}
    assert len(set(bench.gateway.operations)) == len(bench.gateway.operations)
    assert await act.confirm(order) is False


async def test_traffic_flows_again_by_itself_once_the_override_expires(bench: Bench) -> None:
    await bench.do("eject")
    bench.clock.advance(60.0)
    await reconcile(bench.world, "tick")
    assert bench.gateway.traffic == {"chat": render(DECLARED, [], 0.0)["chat"]}


async def test_a_share_takes_the_place_of_this_incidents_ejection_only(bench: Bench) -> None:
    await bench.do("eject", incident="i1")
    await bench.do("eject", incident="i2")

    await bench.do("weight", share=0.25, incident="i1")
    held = bench.gateway.endpoint(CHAT_1)
    assert held == Endpoint("chat-1", "http://127.0.0.1:1", "unhealthy", 0.25)

    await bench.do("weight", share=0.5, incident="i2")
    assert bench.gateway.endpoint(CHAT_1) == Endpoint(
        "chat-1", "http://127.0.0.1:1", "healthy", 0.25
    )


async def test_an_interrupted_share_still_holds_the_replica_out(bench: Bench) -> None:
    await bench.do("eject")
    act, order = bench.order("weight", share=0.25)
    # The process died right after the first of the two rows was changed.
    bench.overrides.put(Override(CHAT_1, Aspect.WEIGHT, "0.25", "i1", 1_000.0, 1_060.0))
    await reconcile(bench.world, "tick")

    held = bench.gateway.endpoint(CHAT_1)
    assert held is not None
    assert held.health == "unhealthy"
    assert await act.confirm(order) is False


async def test_restoring_gives_all_back_that_this_incident_held(bench: Bench) -> None:
    await bench.do("eject")
    await bench.do("weight", share=0.25)
    await bench.do("eject", target=CHAT_2, incident="i2")

    await bench.do("restore")

    assert bench.gateway.endpoint(CHAT_1) == Endpoint("chat-1", "http://127.0.0.1:1")
    assert bench.rows() == {("chat-2", Aspect.HEALTH, "unhealthy")}


async def test_what_the_gateway_refuses_leaves_the_rows_as_they_were(bench: Bench) -> None:
    await bench.do("drain")
    before = bench.overrides.all()
    bench.gateway.fails = ActionError("no")

    for act, order in (
        bench.order("eject"),
        bench.order("weight", share=0.5),
        bench.order("restore"),
        bench.order("eject", target=CHAT_2),
    ):
        with pytest.raises(ActionError, match="no"):
            await act.apply(order)
        assert bench.overrides.all() == before


async def test_what_may_be_in_force_goes_on_being_desired(bench: Bench) -> None:
    bench.gateway.fails = NotAcknowledged("silence")
    act, order = bench.order("eject")
    with pytest.raises(NotAcknowledged):
        await act.apply(order)
    assert bench.rows() == {("chat-1", Aspect.HEALTH, "unhealthy")}
    assert await act.confirm(order) is None
    bench.gateway.fails = None
    assert await act.confirm(order) is True


@pytest.mark.parametrize(
    ("action", "target", "says"),
    [
        ("eject", Subject("plain", "plain-1"), "no gateway steers plain"),
        ("eject", CHAT_4, "no replica chat/chat-4"),
        ("restart", Subject("plain", "plain-1"), "who can start and stop plain/plain-1"),
        ("weight", CHAT_1, "a share of 0"),
    ],
)
async def test_what_can_not_be_done_is_refused_before_anything_is_changed(
    bench: Bench, action: str, target: Subject, says: str
) -> None:
    act, order = bench.order(action, target=target)
    with pytest.raises(ActionError, match=says):
        await act.apply(order)
    assert bench.rows() == set()
    assert bench.gateway.operations == []


async def test_a_component_that_nobody_routes_is_not_sent(bench: Bench) -> None:
    await reconcile(bench.world, "start")
    assert bench.gateway.traffic.keys() == {"chat"}


async def test_of_two_changes_at_once_the_slower_one_takes_nothing_back(bench: Bench) -> None:
    slow = bench.gateway.held_up["i1:1:0:1"] = asyncio.Event()
    first = asyncio.create_task(bench.do("eject", target=CHAT_1, incident="i1"))
    second = asyncio.create_task(bench.do("drain", target=CHAT_2, incident="i2"))
    await asyncio.wait([second], timeout=0.05)  # it may not be done: it waits for the first
    slow.set()
    await asyncio.gather(first, second)
    assert [e.health for e in bench.gateway.traffic["chat"]] == ["unhealthy", "draining"]


async def test_a_restart_is_ordered_under_its_token_and_has_no_undo(bench: Bench) -> None:
    act, order = bench.order("restart")
    await act.apply(order)
    assert bench.runtime.restarted == [("chat-1", order.token)]
    assert await act.confirm(order) is None
    with pytest.raises(ActionError, match="no undo"):
        await act.undo(order)


@pytest.mark.parametrize(
    ("trouble", "seen_as"),
    [(TargetUnreachable("gone"), ActionError), (MalformedData("html"), NotAcknowledged)],
)
async def test_trouble_with_the_runtime_is_said_in_the_terms_of_an_action(
    bench: Bench, trouble: VagusError, seen_as: type[ActionError]
) -> None:
    bench.runtime.dies_at, bench.runtime.dies_of = "restart", trouble
    act, order = bench.order("restart")
    with pytest.raises(ActionError) as raised:
        await act.apply(order)
    assert type(raised.value) is seen_as


def replaced(bench: Bench) -> bool:
    return (
        bench.runtime.there == {"chat-2": "http://127.0.0.1:2", "chat-4": "http://127.0.0.1:4"}
        and bench.gateway.endpoint(CHAT_1) is None
        and bench.gateway.endpoint(CHAT_4) == Endpoint("chat-4", "http://127.0.0.1:4", "unhealthy")
    )


async def test_a_replacement_waits_for_its_verification_before_it_gets_traffic(
    bench: Bench,
) -> None:
    await bench.do("eject")
    await bench.do("replace")
    assert replaced(bench)

    await bench.do("weight", target=CHAT_4, share=0.25)
    await bench.do("restore", target=CHAT_4)
    assert bench.gateway.endpoint(CHAT_4) == Endpoint("chat-4", "http://127.0.0.1:4")
    bench.clock.advance(1e6)
    await reconcile(bench.world, "much later")
    assert bench.gateway.endpoint(CHAT_1) is None
    assert bench.gateway.endpoint(CHAT_4) == Endpoint("chat-4", "http://127.0.0.1:4")


def gateway_refuses(bench: Bench) -> None:
    bench.gateway.fails = NotAcknowledged("silence")


def runtime_dies_at(order: str) -> Callable[[Bench], None]:
    def arm(bench: Bench) -> None:
        bench.runtime.dies_at = order

    return arm


@pytest.mark.parametrize(
    "die",
    [
        runtime_dies_at("add"),
        gateway_refuses,
        runtime_dies_at("replicas"),
        runtime_dies_at("remove"),
    ],
)
async def test_a_replacement_that_broke_off_is_finished_and_never_doubled(
    bench: Bench, die: Callable[[Bench], None]
) -> None:
    await bench.do("eject")
    act, order = bench.order("replace")
    die(bench)
    with pytest.raises((asyncio.CancelledError, NotAcknowledged)):
        await act.apply(order)
    bench.gateway.fails, bench.runtime.dies_at = None, ""

    assert await act.confirm(order) is False
    again = Order("i1:1:0:2", order.incident, order.remedy, order.expires_at)
    await act.apply(again)

    assert await act.confirm(again) is True
    assert replaced(bench)


async def test_a_replacement_is_finished_even_if_the_runtime_forgot_it(bench: Bench) -> None:
    act, order = bench.order("replace")
    bench.runtime.dies_at = "remove"
    with pytest.raises(asyncio.CancelledError):
        await act.apply(order)
    bench.runtime.dies_at = ""
    bench.runtime.added.clear()  # as a supervisor does that was started anew

    await act.apply(order)
    assert replaced(bench)


async def test_a_replacement_can_not_be_told_while_the_runtime_is_silent(bench: Bench) -> None:
    await bench.do("replace")
    bench.runtime.dies_at, bench.runtime.dies_of = "replicas", TargetUnreachable("gone")
    act, order = bench.order("replace")
    assert await act.confirm(order) is None


async def test_a_replacement_that_is_bad_is_replaced_in_turn(bench: Bench) -> None:
    await bench.do("replace")
    await bench.do("replace", target=CHAT_4)
    assert bench.runtime.there.keys() == {"chat-2", "chat-5"}
    assert [e.replica for e in bench.gateway.traffic["chat"]] == ["chat-2", "chat-5"]


def rolled_out(bench: Bench, *replicas: str) -> Rollout:
    return bench.rollouts.start(
        Rollout("r-1", "chat", "v2", "v1", replicas, started_at=900.0, started_by="ana")
    )


def rollback(bench: Bench, version: str = "v1") -> tuple[Action, Order]:
    remedy = Remedy("rollback", CHAT_1, version=version)
    return bench.actions["rollback"], Order("i1:1:1:1", "i1", remedy)


async def test_a_rollback_gives_the_replica_the_version_before_and_ends_the_rollout(
    bench: Bench,
) -> None:
    rolled_out(bench, "chat-1")
    action, order = rollback(bench)
    assert await action.confirm(order) is False
    await action.apply(order)
    assert await action.confirm(order) is True
    assert bench.runtime.restarted == [("chat-1", order.token)]
    ended = bench.rollouts.get("r-1")
    assert ended is not None
    assert ended.verdict == "rolled-back"
    with pytest.raises(ActionError, match="no undo"):
        await action.undo(order)


async def test_a_rollout_goes_on_while_another_of_its_replicas_runs_the_new_version(
    bench: Bench,
) -> None:
    rolled_out(bench, "chat-1", "chat-2")
    bench.runtime.versions["chat-2"] = "v2"
    action, order = rollback(bench)
    await action.apply(order)
    running = bench.rollouts.get("r-1")
    assert running is not None
    assert running.finished_at is None


async def test_a_rollback_to_nowhere_is_refused(bench: Bench) -> None:
    action, order = rollback(bench, version="")
    with pytest.raises(ActionError, match="ran before"):
        await action.apply(order)
    assert bench.runtime.restarted == []
