"""One process of Vagus: adapters, state, loop and workflows put together.

This is the only place that chooses: which adapters stand behind which port, what is shared between
the event loop and the workflow threads, and in which order things start and end. The order matters:
the state is claimed before anything is read; traffic is reconciled before anybody acts, since the
gateway may have restarted meanwhile; workflows go on only once there are hands for them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

import structlog

from vagus import __version__, durable, outside, service
from vagus._units import PERIODS
from vagus.abandoned import Abandoned
from vagus.api.application import build
from vagus.api.served import Served
from vagus.api.server import serve
from vagus.clock import Clock, SystemClock
from vagus.config import Mode, Settings
from vagus.detection.detectors import Detectors
from vagus.detection.normal import Keeper, baselines
from vagus.detection.objectives import Objectives
from vagus.detection.reflexes import Reflexes
from vagus.detection.retrieval.detector import RetrievalDetector
from vagus.detection.senses import Senses
from vagus.detection.shape import misshapen
from vagus.diagnosis.faults import FAULTS
from vagus.errors import VagusError
from vagus.exporting import Exporter, Push
from vagus.granting import grants_of
from vagus.healing import Healer
from vagus.healing_steps import Hands
from vagus.leadership import Lead, leading, only_while_leading
from vagus.learning import Learning
from vagus.licensing import follow_file
from vagus.loop import Loop
from vagus.measuring import Measured, Sources
from vagus.model import (
    Attempt,
    Incident,
    Injection,
    Request,
    Rollout,
    Ruling,
    SensesReport,
    Subject,
)
from vagus.notify.compose import Composer
from vagus.notify.deliver import Notifier, Recipient, recipients_of
from vagus.planning.plan import Playbooks
from vagus.policy.approvals import tally
from vagus.policy.facts import Kept, Law, Moment, gather
from vagus.policy.gate import judge
from vagus.policy.injections import Around, judge_injection
from vagus.policy.rules import NO_RULES, Rules, load_rules
from vagus.policy.steering import Steering
from vagus.policy.stop import StopWatch
from vagus.policy.tiers import floor_of
from vagus.proving import Proving
from vagus.reconcile import Reconciler
from vagus.remediation import NAMES, actions
from vagus.remediation.action import World
from vagus.remediation.traffic import in_force, present, reconcile, render
from vagus.snapshot import Snapshot, replica_views
from vagus.state.anchor import Anchor
from vagus.state.controls import Controls
from vagus.state.db import Database, open_database
from vagus.state.error_budgets import ErrorBudgets
from vagus.state.incidents import Incidents
from vagus.state.injections import Injections
from vagus.state.intents import Intents
from vagus.state.leases import Leases
from vagus.state.ledger import Ledger
from vagus.state.licences import Licences
from vagus.state.outbox import Outbox
from vagus.state.overrides import Overrides
from vagus.state.proposals import Proposals
from vagus.state.retention import Retention
from vagus.state.rollouts import Rollouts
from vagus.state.tokens import Tokens
from vagus.state.trials import Trials
from vagus.telemetry.history import Recorder
from vagus.telemetry.memory import Memory
from vagus.telemetry.rejections import Rejections
from vagus.telemetry.segments import Limits
from vagus.telemetry.store import Store
from vagus.topology import Topology
from vagus.verification.rollout import RolloutVerdict, judge_rollout
from vagus.waking import keep_waking

log = structlog.get_logger()

T = TypeVar("T")

_TOUCHES_NOTHING = (Mode.OFF, Mode.SHADOW)
LOOKED_BACK = 200  # incidents that may speak against a rollout
CALL_TIMEOUT = 30.0  # s that a workflow waits for the event loop; longer than any action lasts


class Vagus:
    """The running whole. Made by :meth:`opened`; :meth:`run` works until it is cancelled."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        database: Database,
        sessions: outside.Sessions,
        lead: Lead,
        recipients: Sequence[Recipient] = (),
    ) -> None:
        self.settings = settings
        self._lead = lead
        self.ledger = Ledger(database)
        self.anchor = Anchor(self.ledger, settings.ledger_anchor, clock)
        self.retention = Retention(database, settings.retention, clock)
        self.began_after = self.ledger.head().seq  # the last entry of earlier runs
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._incidents = Incidents(database)
        self._rollouts = Rollouts(database)
        self._injections = Injections(database)
        self._intents = Intents(database)
        self._overrides = Overrides(database)
        self._proposals = Proposals(database)
        self._controls = Controls(database)
        self._steering = Steering(settings, self._controls)
        self._stop_watch = StopWatch(settings.policy.kill_switch, self.ledger)
        self.licences = Licences(database)
        self.trials = Trials(database)
        self._law = Law(settings.policy, _rules(settings), settings.healing.warm_up)
        self._kept = Kept(
            self._incidents,
            self._intents,
            self._overrides,
            proposals=self._proposals,
            trials=self.trials,
            licences=self.licences,
            injections=self._injections,
            rollouts=self._rollouts,
        )
        compose = Composer(settings.notify, self._incidents, self._intents, self._proposals.get)
        self.notifier = Notifier(recipients, compose, Outbox(database), self.ledger, clock)
        self._declared = Topology.declared(settings)
        self._topology = present(self._declared, self._overrides.all(), clock.now())
        self._attention: frozenset[Subject] = frozenset()
        self._senses_report = SensesReport(trusted=True)
        self._traffic = render(self._declared, self._overrides.all(), clock.now())

        self.reflexes = Reflexes(self.topology)
        self.baselines = baselines(settings, self.topology, lambda: self._attention)
        self._keeper = Keeper(self.baselines.fleet, settings.telemetry.baselines, clock.now())
        error_budgets = ErrorBudgets(database)
        self.objectives = Objectives(settings.objectives, error_budgets.hours(), error_budgets.keep)
        self.retrieval = RetrievalDetector.of(settings, self.topology)
        self.detectors = Detectors(self.reflexes, self.retrieval, self.baselines, self.objectives)
        self.senses = Senses(self.topology)
        self._rejections = Rejections(clock)
        self.memory = Memory(self.topology, is_bad=self._failed_callers)
        self.store = Store(self.topology, self._rejections)
        told = settings.telemetry
        kept = Limits(keep_seconds=told.history_keep, keep_bytes=told.history_size)
        self.history = Recorder(told.history, clock, self._rejections, kept)
        self.outside = outside.choose(
            settings,
            sessions,
            clock,
            self.topology,
            self._needs_attention,
            self._rejections,
            self.retrieval.focus,
        )
        self._world = World(
            clock=clock,
            declared=self._declared,
            overrides=self._overrides,
            gateway=self.outside.gateway,
            routed=self.outside.routes,
            runtimes=self.outside.runtimes,
            keepers=self.outside.keepers,
            rollouts=self._rollouts,
        )
        self.healer = Healer(self._hands(Leases(database)))
        self._wake = durable.promptly(self.healer.wake)
        abandoned = Abandoned(self._incidents, self.ledger, clock, durable.ended)
        self.reconciler = Reconciler(
            clock=clock,
            incidents=self._incidents,
            topology=self.topology,
            open_findings=self.detectors.open_findings,
            asking=self._asking,
            start=self._start_healing,
            look_after=lambda started: asyncio.to_thread(abandoned.look, started),
        )
        self.loop = Loop(
            clock=clock,
            interval=settings.telemetry.interval,
            topology=self.topology,
            sources=self.outside.sources,
            remember=(self.memory.observe, self.store.observe, self.history.observe),
            detectors=self.detectors,
            senses=self.senses,
            incidents=self._incidents,
            ledger=self.ledger,
            rollouts=self._rollouts.latest,
            reconciler=self.reconciler,
            on_tick=self._tick,
        )
        self._refused: Counter[int] = Counter()
        self._exported: Counter[tuple[str, str]] = Counter()
        self._collector = outside.collector(settings, sessions.fresh)
        self.measured = self._measured()

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, clock: Clock | None = None) -> AsyncIterator[Vagus]:
        """Everything open and the unfinished workflows going on; closed in the end, in order.

        Where another process leads on the same state, entering waits until this one does.
        Raises a VagusError, before anything is touched, for a state that can't be used, a port
        that is taken, or a gateway folder that can't be written.
        """
        clock = clock or SystemClock()
        async with AsyncExitStack() as stack:
            recipients = await asyncio.to_thread(recipients_of, settings.notify)
            grants_of(settings, clock.now())  # read again by who leads: here for its mistakes
            lead = await stack.enter_async_context(leading(settings.state, clock, settings.api))
            database = open_database(settings.state, clock)
            stack.callback(database.close)
            database.fence = lead.check
            sessions = await stack.enter_async_context(outside.open_sessions())
            vagus = cls(settings, clock, database, sessions, lead, recipients)
            stack.push_async_callback(vagus.outside.close)
            stack.push_async_callback(asyncio.to_thread, vagus.anchor.write)
            api = build(vagus._served(database))
            await stack.enter_async_context(serve(api, settings.api, api.state.feeds.ending))
            await stack.enter_async_context(vagus.notifier.running())
            vagus._take_grants()
            await vagus._reconcile_traffic("start")
            vagus._tell_start()
            service.tell(service.READY, service.status("leads"))
            stack.callback(service.tell, service.STOPPING)
            durable.launch(settings.state, lead.term.owner)
            stack.push_async_callback(asyncio.to_thread, durable.close)
            stack.callback(vagus.history.close)
            stack.callback(vagus._keep_what_was_learned)
            yield vagus

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            waking = tasks.create_task(
                keep_waking(self._proposals, self._wake, self._clock), name="waking"
            )
            export = self.settings.telemetry.export
            if self._collector is not None and export is not None:
                exporter = self._exporter(self._collector, export.every)
                tasks.create_task(exporter.run(), name="export")
            await self.loop.run()
            waking.cancel()

    def topology(self) -> Topology:
        """The stack as it stands now."""
        return self._topology

    def _needs_attention(self) -> frozenset[Subject]:
        """Who is probed often: suspects at once, and whoever is out of traffic or being healed."""
        return self._attention | self.reflexes.suspects() | self.retrieval.suspects()

    def snapshot(self) -> Snapshot:
        now = self._clock.now()
        return Snapshot(
            at=now,
            mode=self._steering.mode().value,
            stopped=self._stopped(),
            senses=self._senses_report,
            replicas=replica_views(
                self._topology,
                in_force(self._overrides.all(), now),
                self.detectors.open_findings(),
                self.reflexes.suspects(with_controls=False),
                self.outside.ejected(),
                self.store.vitals(),
            ),
            incidents=tuple(self._incidents.active()),
            untold=self.notifier.untold(),
        )

    def _measured(self) -> Measured:
        """Vagus's own numbers."""
        budget = self.settings.false_alarms
        return Measured(
            Sources(
                clock=self._clock,
                interval=self.settings.telemetry.interval,
                loop_counts=self.loop.counts,
                rejected=self._rejections.counts,
                notified=lambda: self.notifier.counts,
                refused=self._refused,
                series=lambda: self.store.series_count,
                findings=self.detectors.open_findings,
                unadmitted=lambda: self.reconciler.waiting,
                senses=lambda: self._senses_report,
                snapshot=self.snapshot,
                alarms_in_a_week=budget.count * PERIODS["week"] / budget.period,
                alarms=lambda: self.baselines.fleet.tally.alarms,
                incidents=self._incidents,
                proposals=self._proposals,
                licences=self.licences,
                overrides=self._overrides,
                ledger=self.ledger,
                exported=self._exported if self.settings.telemetry.export else None,
            )
        )

    def _exporter(self, push: Push, every: float) -> Exporter:
        return Exporter(
            push,
            self._clock,
            every=every,
            environment=self.settings.policy.environment,
            readings=self.measured.readings,
            incidents=self._incidents,
            ledger=self.ledger,
            counts=self._exported,
        )

    def _served(self, database: Database) -> Served:
        """What the API works with."""
        members = {name: frozenset(who) for name, who in self.settings.policy.approvers.items()}
        return Served(
            clock=self._clock,
            settings=self.settings,
            ledger=self.ledger,
            tokens=Tokens(database),
            incidents=self._incidents,
            intents=self._intents,
            proposals=self._proposals,
            licences=self.licences,
            controls=self._controls,
            rollouts=self._rollouts,
            injections=self._injections,
            judge_injection=self._judge_injection,
            prove=Proving(
                self.trials,
                self._intents,
                self.licences,
                self.ledger,
                self.settings.policy.environment,
                floor_of,
            ).take,
            judge_rollout=self._judge_rollout,
            transaction=database.write,
            remedies=frozenset(NAMES),
            faults=frozenset(FAULTS),
            tally=lambda proposal: tally(proposal, members),
            wake=self._wake,
            snapshot=self.snapshot,
            readings=self.measured.readings,
            refused=self._refused,
        )

    def _judge_rollout(self, rollout: Rollout) -> RolloutVerdict:
        replicas = [Subject(rollout.component, name) for name in rollout.replicas]
        seen = {subject: self.memory.observed(subject, rollout.started_at) for subject in replicas}
        known = {i.id: i for i in (*self._incidents.recent(LOOKED_BACK), *self._incidents.active())}
        warm_up = self.settings.healing.warm_up
        return judge_rollout(rollout, seen, known.values(), self._clock.now(), warm_up=warm_up)

    def _take_grants(self) -> None:
        """Licences that people wrote down beside the configuration."""
        follow_file(grants_of(self.settings, self._clock.now()), self.licences, self.ledger)

    def _tell_start(self) -> None:
        replicas = [str(subject) for subject in self._topology.replicas()]
        facts = {"version": __version__, "mode": self._steering.mode().value, "replicas": replicas}
        self.ledger.append("vagus", f"start:{self._clock.now():.6f}", "started", facts)

    # --- every tick ------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        self.measured.ticked()
        service.tell(service.ALIVE)
        column = self.store.tick(now)
        self.history.tick(column)
        self.baselines.tick(column)
        self.objectives.tick(column)
        if self._keeper.due(now):
            self._keeper.save()
        if self.anchor.due():
            self._loop.run_in_executor(None, self.anchor.write)
        if self.retention.due():
            self._loop.run_in_executor(None, self.retention.run)
        self._stop_watch.look(now)
        self._senses_report = self.senses.report(now)
        overrides = self._overrides.all()
        self._topology = present(self._declared, overrides, now)
        held = {row.subject for row in in_force(overrides, now)}
        incidents = self._incidents.active()
        self._attention = frozenset(held | {i.subject for i in incidents})
        if self.settings.heartbeat is not None:
            _touch(self.settings)
        if self._steering.refresh() or render(self._declared, overrides, now) != self._traffic:
            self._loop.create_task(self._reconcile_traffic(f"tick:{now:.3f}"))

    def _keep_what_was_learned(self) -> None:
        self._keeper.save()
        with suppress(VagusError):  # the state may be what ended us
            self.objectives.close()

    async def _reconcile_traffic(self, operation: str) -> None:
        """Put the desired traffic in force: at the start, and when an override expired."""
        try:
            self._traffic = render(self._declared, self._overrides.all(), self._clock.now())
            if self._steering.mode() in _TOUCHES_NOTHING and not self._overrides.all():
                return  # but what was moved before must come back when its time is over
            self._lead.require()
            await reconcile(self._world, operation)
        except VagusError as error:
            log.warning("gateway.not_reconciled", error=str(error))

    # --- what healing works with -----------------------------------------------------------------

    async def _start_healing(self, incident: Incident) -> None:
        self._attention |= {incident.subject}
        await asyncio.to_thread(self.healer.ensure, incident.id, incident.epoch)

    def _asking(self) -> frozenset[str]:
        """The incidents whose workflows wait for people."""
        return frozenset(proposal.request.incident for proposal in self._proposals.waiting())

    def _hands(self, leases: Leases) -> Hands:
        return Hands(
            clock=self._clock,
            settings=self.settings,
            incidents=self._incidents,
            intents=self._intents,
            overrides=self._overrides,
            leases=leases,
            proposals=self._proposals,
            ledger=self.ledger,
            memory=self.memory,
            learning=Learning(
                self.trials,
                self.licences,
                self.ledger,
                self.settings.policy.environment,
                self._injections,
            ),
            playbooks=Playbooks.load(FAULTS, NAMES),
            actions=actions(self._world),
            topology=self.topology,
            routed=self.outside.routes,
            tier=lambda remedy: floor_of(remedy.action),
            judge=self._judge,
            shadow=lambda: self._steering.mode() is Mode.SHADOW,
            stopped=self._stopped,
            forget=self._forget,
            call=self._call,
        )

    def _judge(self, request: Request) -> Ruling:
        return judge(request, gather(request, self._law, self._moment(), self._kept))

    def _judge_injection(self, injection: Injection) -> Ruling:
        now, budget = self._clock.now(), self.settings.chaos.budget
        facts = gather(injection.request, self._law, self._moment(), self._kept)
        around = Around(
            incidents=self._incidents.active(),
            open=self._injections.open(now),
            recent=self._injections.since(now - budget.period),
            budget=budget,
            cap=injection.cap,
        )
        return judge_injection(injection.request, facts, around)

    def _moment(self) -> Moment:
        return Moment(
            now=self._clock.now(),
            mode=self._steering.mode(),
            stopped=self._steering.stop(),
            senses=self._senses_report,
            ejected=self.outside.ejected(),
            topology=self._topology,
            error_budgets=self.objectives.left(),
        )

    def _stopped(self) -> str | None:
        stop = self._steering.stop()
        return None if stop is None else str(stop)

    def _forget(self, subject: Subject, at: float) -> None:
        self._loop.call_soon_threadsafe(self.detectors.forget, subject, at)

    def _failed_callers(self, attempt: Attempt) -> bool:
        """Whether whoever asked got no answer, or none that is one."""
        node = self._topology.components.get(attempt.subject.component)
        kind = node.kind if node is not None else None
        return attempt.failure is not None or bool(misshapen(attempt, kind))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        work = only_while_leading(self._lead, work)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT)


def _rules(settings: Settings) -> Rules:
    path = settings.policy.rules
    return NO_RULES if path is None else load_rules(path, settings, faults=tuple(FAULTS))


def _touch(settings: Settings) -> None:
    """The heartbeat. That it can't be written must not stop what it is the heart of."""
    assert settings.heartbeat is not None
    try:
        settings.heartbeat.touch()
    except OSError as error:
        log.warning("heartbeat.not_written", error=str(error))
