"""What Vagus says of itself, in numbers: the catalogue, and how readings are written down.

One catalogue serves the exposition on ``/metrics``, what is pushed by OTLP, the page of the docs,
and the dashboards and alert rules, whose test looks every name up here. A reading that is not in it
can't be made, so nothing is exposed that nobody explained.

Names are Prometheus's: counters end in ``_total``, units are base units and stand in the name.
Sources: Prometheus's "Metric and label naming"; its text format 0.0.4; OpenTelemetry's "Prometheus
and OpenMetrics compatibility" for the way from one kind of name to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from types import MappingProxyType

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_UNITS = {"s": "_seconds", "By": "_bytes"}  # by UCUM, as a name says them


class Type(StrEnum):
    COUNTER = "counter"  # only grows; back at zero after a restart unless it is said to be kept
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Metric:
    """``unit`` is UCUM's, in braces what is counted."""

    name: str
    type: Type
    unit: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def otel_name(self) -> str:
        """``vagus_loop_lag_seconds`` -> ``vagus.loop_lag``: a collector that turns it into a
        Prometheus name again, by type and unit, gets the one that it has on ``/metrics``."""
        bare = self.name.removesuffix("_total").removesuffix(_UNITS.get(self.unit, ""))
        return bare.replace("_", ".", 1)


@dataclass(frozen=True, slots=True)
class Reading:
    metric: Metric
    value: float
    labels: tuple[str, ...] = ()  # values, in the order of the metric's


def reading(name: str, value: float, **labels: str) -> Reading:
    """Raises KeyError for what is not in the catalogue, or has other labels there."""
    metric = METRICS[name]
    if labels.keys() != set(metric.labels):
        raise KeyError(f"{name} has the labels {metric.labels}, not {tuple(labels)}")
    return Reading(metric, float(value), tuple(labels[label] for label in metric.labels))


def exposition(readings: Iterable[Reading]) -> str:
    """As Prometheus reads it. Readings of one metric are written together, as the format asks."""
    return "".join(_lines(readings))


def _lines(readings: Iterable[Reading]) -> Iterator[str]:
    place = {name: number for number, name in enumerate(METRICS)}
    ordered = sorted(readings, key=lambda one: place[one.metric.name])
    for metric, group in groupby(ordered, key=attrgetter("metric")):
        yield f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n"
        for one in group:
            pairs = zip(metric.labels, one.labels, strict=True)
            inner = ",".join(f'{label}="{_escaped(value)}"' for label, value in pairs)
            yield (
                f"{metric.name}{{{inner}}} {one.value:.17g}\n"
                if inner
                else (f"{metric.name} {one.value:.17g}\n")
            )


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _gauge(name: str, unit: str, help: str, *labels: str) -> Metric:
    return Metric(f"vagus_{name}", Type.GAUGE, unit, help, labels)


def _counter(name: str, unit: str, help: str, *labels: str) -> Metric:
    return Metric(f"vagus_{name}_total", Type.COUNTER, unit, help, labels)


_REPLICA = ("component", "replica")

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            # The process.
            _gauge("build_info", "1", "1; the label says which version runs.", "version"),
            _gauge("mode", "1", "1 for the mode in force.", "mode"),
            _gauge("kill_switch", "1", "1 while the kill switch is set: nothing is acted upon."),
            _counter("ticks", "{tick}", "Ticks of the loop."),
            _gauge("last_tick_timestamp_seconds", "s", "When the loop last ticked, Unix time."),
            _gauge("loop_lag_seconds", "s", "How late the last tick came."),
            _gauge(
                "state_reachable", "1", "1, or 0 while the state can't be read: it holds still."
            ),
            _counter("state_unavailable", "{time}", "Times that the state could not be reached."),
            Metric(
                *("process_cpu_seconds_total", Type.COUNTER, "s"),
                "Processor time of this process, user and system.",
            ),
            Metric(
                *("process_resident_memory_bytes", Type.GAUGE, "By"),
                "Memory of this process that is in RAM.",
            ),
            Metric(
                *("process_start_time_seconds", Type.GAUGE, "s"),
                "When this process began to lead, Unix time.",
            ),
            # Senses.
            _gauge(
                "senses_trusted", "1", "1, or 0 while it distrusts what it sees: it holds still."
            ),
            _gauge("senses_watched", "{target}", "Targets that are expected to be heard."),
            _gauge("senses_silent", "{target}", "Targets of those that are not heard."),
            _counter("evidence", "{piece}", "Pieces of evidence taken: log rows, scrapes, probes."),
            _counter("evidence_dropped", "{piece}", "Pieces dropped: the queue was full."),
            _counter("source_crashes", "{crash}", "Sources that broke and began again: a bug."),
            _counter(
                "rejections", "{piece}", "What could not be used, or was told: why.", "reason"
            ),
            _gauge("series", "{series}", "Series in memory."),
            # Findings and incidents.
            _gauge("findings", "{finding}", "Findings that are open.", "symptom"),
            _counter("findings_opened", "{finding}", "Findings opened.", "symptom", "sense"),
            _gauge("false_alarm_budget", "{alarm}", "False alarms that are bearable in a week."),
            _counter("baseline_alarms", "{alarm}", "Alarms of the baselines, true and false."),
            _gauge("incidents", "{incident}", "Incidents that are not over, by state.", "state"),
            _counter("incidents_opened", "{incident}", "Incidents opened, by cause.", "fault"),
            _counter(
                *("incidents_closed", "{incident}"),
                "Incidents that are over, by how they ended. Kept over restarts.",
                "state",
            ),
            _counter(
                *("incident_duration_seconds", "s"),
                "Time from open to closed of those, added up. Kept over restarts.",
                "state",
            ),
            _gauge("incidents_waiting", "{incident}", "Open ones whose healing has no place yet."),
            # Governance.
            _counter(
                *("rulings", "{ruling}", "What the gate said to requests."),
                *("action", "tier", "decision"),
            ),
            _counter(
                *("guard_objections", "{ruling}", "Rulings of single guards that were no allow."),
                *("guard", "decision"),
            ),
            _gauge("proposals_waiting", "{proposal}", "Questions that wait for people."),
            _counter("proposals", "{proposal}", "Questions to people, by what became.", "outcome"),
            _gauge("licences", "{licence}", "Licences that are valid."),
            _counter("ledger_entries", "{entry}", "Number of the ledger's last entry. Kept."),
            # Actions and verdicts.
            _counter(
                *("actions", "{action}", "Actions carried out, or tried."),
                *("action", "tier", "purpose", "outcome"),
            ),
            _counter("verdicts", "{verdict}", "What verification found.", "outcome"),
            _counter(
                *("treatments", "{treatment}", "Treatments whose outcome was verified."),
                *("action", "tier", "outcome"),
            ),
            _gauge("overrides", "{row}", "Rows that move traffic away from what is declared."),
            # The stack, as it is seen.
            _gauge(
                "replica_share", "1", "Share of its normal traffic that it is given.", *_REPLICA
            ),
            _gauge(
                "replica_condition", "1", "1 for the condition it is in.", *_REPLICA, "condition"
            ),
            _gauge("replica_requests_per_second", "{request}/s", "Asked of it.", *_REPLICA),
            _gauge("replica_failures_per_second", "{request}/s", "Failed of those.", *_REPLICA),
            _gauge("replica_requests_running", "{request}", "It says it works on.", *_REPLICA),
            _gauge(
                *("replica_time_to_first_token_seconds", "s"),
                "As callers met it, of late.",
                *(*_REPLICA, "percentile"),
            ),
            # Telling others.
            _gauge(
                "notifications_waiting", "{message}", "Messages that their target did not take yet."
            ),
            _counter("notifications_sent", "{message}", "Messages that were taken."),
            _counter("notifications_retried", "{try}", "Tries that failed and are repeated."),
            _counter("notifications_given_up", "{message}", "Messages that nobody took."),
            _counter("notifications_interrupted", "{time}", "Times the state was out of reach."),
            _counter("exported", "{export}", "What was pushed by OTLP.", "signal"),
            _counter("export_failures", "{try}", "Pushes that failed; tried again.", "signal"),
            _counter("export_given_up", "{trace}", "Incidents whose trace nobody took in time."),
            _counter("api_refused", "{request}", "Requests refused at the door.", "status"),
        )
    }
)
"""In the order in which they are exposed and documented."""
