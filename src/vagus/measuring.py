"""Where Vagus's own numbers come from, when somebody asks for them.

What was decided and done is counted from the ledger and nowhere else: the entry is there if and
only if it happened, in whatever process or thread, so the counts can't drift from the story that
``vagus incidents`` tells. Reading them costs the entries since the last time. They begin with this
process, as counters do; what is kept in tables (incidents that are over) counts over restarts.

While the state can't be reached, what is known without it is still told: that is when somebody
looks.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vagus import __version__
from vagus.clock import Clock
from vagus.config import Mode
from vagus.errors import StateError
from vagus.metrics import Reading, reading
from vagus.model import Finding, IncidentState, Outcome, ProposalState, SensesReport
from vagus.ports import Licences, Proposals
from vagus.remediation.traffic import in_force
from vagus.snapshot import ReplicaView, Snapshot
from vagus.state.incidents import CLOSED, Incidents
from vagus.state.ledger import Entry, Ledger
from vagus.state.overrides import Overrides
from vagus.telemetry.rejections import Rejected

CONDITIONS = ("ok", "suspect", "sick", "out", "returning")
LOOP_COUNTS = ("evidence", "evidence_dropped", "source_crashes", "state_unavailable")
_PAGE = 500
_DECIMALS = 6  # of a Unix time: microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Who is asked. ``alarms_in_a_week`` is the budget that the user stated."""

    clock: Clock
    interval: float  # s between two ticks
    loop_counts: Mapping[str, int]
    rejected: Mapping[Rejected, int]
    notified: Callable[[], Mapping[str, float]]  # metric name, without prefix, to number
    refused: Mapping[int, int]  # requests to the API, by status
    series: Callable[[], int]
    findings: Callable[[], Sequence[Finding]]
    unadmitted: Callable[[], int]
    senses: Callable[[], SensesReport]
    snapshot: Callable[[], Snapshot]
    alarms_in_a_week: float
    alarms: Callable[[], int]  # of the baselines
    incidents: Incidents
    proposals: Proposals
    licences: Licences
    overrides: Overrides
    ledger: Ledger
    exported: Mapping[tuple[str, str], int] | None = None  # where anything is: Exporter.counts


class Measured:
    """Call it on the event loop."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._began_at = sources.clock.now()
        self._said = Said(sources.ledger)
        self._ticks = 0
        self._ticked: float | None = None  # monotonic
        self._ticked_at = self._began_at
        self._lag = 0.0

    def ticked(self) -> None:
        """The loop has begun another tick."""
        now = self._sources.clock.monotonic()
        if self._ticked is not None:
            self._lag = max(0.0, now - self._ticked - self._sources.interval)
        self._ticks += 1
        self._ticked, self._ticked_at = now, self._sources.clock.now()

    def readings(self) -> list[Reading]:
        """Everything, now. What only the state knows is left out while it can't be reached."""
        readings = list(self._own())
        try:
            readings += self._kept()
        except StateError:
            readings.append(reading("vagus_state_reachable", 0))
        else:
            readings.append(reading("vagus_state_reachable", 1))
        return readings

    def _own(self) -> Iterator[Reading]:
        sources = self._sources
        yield reading("vagus_build_info", 1, version=__version__)
        yield reading("vagus_ticks_total", self._ticks)
        yield reading("vagus_last_tick_timestamp_seconds", round(self._ticked_at, _DECIMALS))
        yield reading("vagus_loop_lag_seconds", self._lag)
        yield from _process(self._began_at)
        senses = sources.senses()
        yield reading("vagus_senses_trusted", senses.trusted)
        yield reading("vagus_senses_watched", senses.watched)
        yield reading("vagus_senses_silent", senses.silent)
        for name in LOOP_COUNTS:
            yield reading(f"vagus_{name}_total", sources.loop_counts.get(name, 0))
        for reason in Rejected:
            yield reading(
                "vagus_rejections_total", sources.rejected.get(reason, 0), reason=reason.value
            )
        for name, count in sources.notified().items():
            yield reading(f"vagus_{name}", count)
        for status, count in sources.refused.items():
            yield reading("vagus_api_refused_total", count, status=str(status))
        if sources.exported is not None:
            yield from _exported(sources.exported)
        yield reading("vagus_series", sources.series())
        yield reading("vagus_false_alarm_budget", sources.alarms_in_a_week)
        yield reading("vagus_baseline_alarms_total", sources.alarms())
        yield reading("vagus_incidents_waiting", sources.unadmitted())
        for symptom, count in Counter(f.symptom.value for f in sources.findings()).items():
            yield reading("vagus_findings", count, symptom=symptom)

    def _kept(self) -> list[Reading]:
        return [
            *self._of_snapshot(self._sources.snapshot()),
            *self._of_incidents(),
            *self._of_governance(),
            *self._said.readings(),
        ]

    def _of_snapshot(self, snapshot: Snapshot) -> Iterator[Reading]:
        for mode in Mode:
            yield reading("vagus_mode", snapshot.mode == mode.value, mode=mode.value)
        yield reading("vagus_kill_switch", snapshot.stopped is not None)
        yield reading("vagus_notifications_waiting", snapshot.untold)
        for view in snapshot.replicas:
            yield from _of_replica(view)

    def _of_incidents(self) -> Iterator[Reading]:
        tallies = self._sources.incidents.by_state()
        for state in IncidentState:
            count, seconds = tallies.get(state, (0, 0.0))
            if state not in CLOSED:
                yield reading("vagus_incidents", count, state=state.value)
                continue
            yield reading("vagus_incidents_closed_total", count, state=state.value)
            yield reading("vagus_incident_duration_seconds_total", seconds, state=state.value)

    def _of_governance(self) -> Iterator[Reading]:
        sources = self._sources
        now = sources.clock.now()
        yield reading("vagus_proposals_waiting", len(sources.proposals.waiting()))
        yield reading("vagus_licences", len(sources.licences.valid(now)))
        yield reading("vagus_overrides", len(in_force(sources.overrides.all(), now)))
        yield reading("vagus_ledger_entries_total", sources.ledger.head().seq)


class Said:
    """What the ledger said since this was made, counted."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen = ledger.head().seq
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        for outcome in Outcome:
            self._count("vagus_verdicts_total", {"outcome": outcome.value}, 0)
        for state in ProposalState:
            if state is not ProposalState.OPEN:
                self._count("vagus_proposals_total", {"outcome": state.value}, 0)

    def readings(self) -> Iterator[Reading]:
        """Raises StateError; what was counted until then stays."""
        while page := self._ledger.page(self._seen, _PAGE):
            for entry in page:
                self._take(entry)
                self._seen = entry.seq
        for (name, labels), count in self._counts.items():
            yield reading(name, count, **dict(labels))

    def _take(self, entry: Entry) -> None:
        def told(*names: str) -> dict[str, str]:
            return {name: str(entry.facts.get(name) or "") for name in names}

        match entry.event.partition("."):
            case "finding", _, "opened":
                self._count("vagus_findings_opened_total", told("symptom", "sense"))
            case "incident", _, "opened":
                self._count("vagus_incidents_opened_total", told("fault"))
            case "decided", _, _:
                self._count("vagus_rulings_total", told("action", "tier", "decision"))
                self._take_guards(entry.facts.get("guards"))
            case ("applied" | "failed") as outcome, _, _:
                what = told("action", "tier", "purpose")
                self._count("vagus_actions_total", {"outcome": outcome, **what})
            case "verdict", _, _:
                self._count("vagus_verdicts_total", told("outcome"))
            case "learned", _, _:
                self._count("vagus_treatments_total", told("action", "tier", "outcome"))
            case "proposal", _, outcome:
                self._count("vagus_proposals_total", {"outcome": outcome})

    def _take_guards(self, guards: object) -> None:
        for said in guards if isinstance(guards, list) else ():
            if said["decision"] != "allow":
                objection = {name: str(said[name]) for name in ("guard", "decision")}
                self._count("vagus_guard_objections_total", objection)

    def _count(self, name: str, labels: Mapping[str, str], amount: int = 1) -> None:
        self._counts[name, tuple(sorted(labels.items()))] += amount


def _exported(counts: Mapping[tuple[str, str], int]) -> Iterator[Reading]:
    for signal in ("metrics", "traces"):
        yield reading("vagus_exported_total", counts.get(("exported", signal), 0), signal=signal)
        failed = counts.get(("failures", signal), 0)
        yield reading("vagus_export_failures_total", failed, signal=signal)
    yield reading("vagus_export_given_up_total", counts.get(("given_up", "traces"), 0))


def _of_replica(view: ReplicaView) -> Iterator[Reading]:
    who = {"component": view.subject.component, "replica": view.subject.replica}
    yield reading("vagus_replica_share", view.share, **who)
    for condition in CONDITIONS:
        is_so = view.condition == condition
        yield reading("vagus_replica_condition", is_so, condition=condition, **who)
    vitals = view.vitals
    for name, value, labels in (
        ("requests_per_second", vitals.requests_per_s, {}),
        ("failures_per_second", vitals.failed_per_s, {}),
        ("requests_running", vitals.running, {}),
        ("time_to_first_token_seconds", vitals.ttft_p50, {"percentile": "50"}),
        ("time_to_first_token_seconds", vitals.ttft_p95, {"percentile": "95"}),
    ):
        if value is not None:
            yield reading(f"vagus_replica_{name}", value, **who, **labels)


def _process(began_at: float) -> Iterator[Reading]:
    yield reading("process_start_time_seconds", round(began_at, _DECIMALS))
    yield reading("process_cpu_seconds_total", time.process_time())
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return  # not Linux
    yield reading("process_resident_memory_bytes", pages * resource.getpagesize())
