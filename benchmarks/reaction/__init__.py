"""How soon callers are safe from one faulty replica of three, and what it costs them until then.

Three light model servers that stream ten tokens in 100 ms, one Envoy, 50 requests per second
whether they are answered or not. After a warm-up one replica is killed, stopped, made ten times
slower, made to answer 200 with garbage, to cut its streams, or to answer HTTP 500 while its
`/health` is fine; for the next 60 seconds (3,000 requests) it stays so. Counted are *bad* requests
(no usable answer), *slow* ones (good, but five times as long as the median before), and the time
until the faulty replica is *safe*: until the last request is sent to it. A replica that is let back
into traffic while it is still faulty is not safe yet.

Compared are Envoy with `outlier_detection: {}`, Envoy tuned by hand (outlier detection, active
health checks, retries on another host), the tuned one with Vagus beside it, and Prometheus with
Alertmanager and a webhook that ejects. Medians of three runs (of ``--runs``), and the range of the
time until safe.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from benchmarks.reaction.alertmanager import DEFAULTS, TUNED, AlertmanagerWebhook
from benchmarks.reaction.case import FULL, QUICK, Case, Kept, Length, measure
from benchmarks.reaction.rig import FAULTS
from benchmarks.reaction.systems import EnvoyAlone, System, TunedWithVagus
from benchmarks.report import Options, Result, Row, commit
from vagus.clock import SystemClock
from vagus.lab.envoy_clusters import Protection

SYSTEMS: Sequence[System] = (
    EnvoyAlone("default", "Envoy default", Protection.DEFAULT),
    EnvoyAlone("tuned", "Envoy tuned", Protection.TUNED),
    TunedWithVagus(),
    AlertmanagerWebhook("alertmanager_default", "Alertmanager default", DEFAULTS),
    AlertmanagerWebhook("alertmanager", "Alertmanager 1 s", TUNED),
)
QUICK_FAULT = "slow"
QUICK_LEAVES_OUT = "alertmanager_default"  # it can't react within seconds: nothing to see

COLUMNS = {
    "fault": "fault",
    "name": "system",
    "requests": "requests",
    "bad": "bad",
    "slow": "slow",
    "safe_s": "safe after s",
    "range": "range",
}
_NEVER = {"safe_s": "never"}
_FIGURES = {
    ("garbage", "bad"): "garbage_bad_requests",
    ("cut", "bad"): "cut_bad_requests",
    ("http-500", "bad"): "500_bad_requests",
    ("slow", "slow"): "slow_requests",
    ("kill", "bad"): "kill_failed_requests",
    ("stop", "bad"): "stop_failed_requests",
}
_LATE_MS = 50.0


def run(options: Options) -> Result:
    """Measure every system against every fault; see the module's docstring."""
    length = QUICK if options.quick else replace(FULL, runs=options.runs or FULL.runs)
    notes = []
    present: list[System] = []
    for system in SYSTEMS:
        why = system.missing()
        if why:
            notes.append(f"left out: {system.name}: {why}")
        else:
            present.append(system)
    cases = asyncio.run(_measure_all(asked_of(present, options), length, options))
    rows = list(rows_of(cases))
    late = max((case.late_ms for case in cases), default=0.0)
    if late > _LATE_MS:
        notes.append(f"the machine was busy: 1 % of requests left up to {late:.0f} ms late")
    return Result("reaction", COLUMNS, rows, figures_of(rows), notes, _NEVER)


def asked_of(systems: Iterable[System], options: Options) -> list[tuple[System, str]]:
    """Fault by fault, so that systems are measured side by side in time too."""
    pairs = [(s, fault) for fault in FAULTS for s in systems if fault in s.faults]
    if options.only:
        return [(s, fault) for s, fault in pairs if options.wants(f"{s.key}:{fault}")]
    if options.quick:
        return [(s, f) for s, f in pairs if f == QUICK_FAULT and s.key != QUICK_LEAVES_OUT]
    return pairs


async def _measure_all(
    asked: Sequence[tuple[System, str]], length: Length, options: Options
) -> list[Case]:
    kept = Kept(options.data, commit(), length)
    clock = SystemClock()
    cases = []
    total = len(asked) * length.runs
    for run in range(1, length.runs + 1):
        for system, fault in asked:
            case = kept.get(system.key, fault, run)
            if case is None:
                case = await measure(system, fault, run, length, clock, options.data)
                kept.add(case)
            cases.append(case)
            safe = "never" if case.safe_s is None else f"{case.safe_s:.2f} s"
            options.say(
                f"{len(cases)}/{total} {fault}, {system.name}: {case.bad} bad, {case.slow} slow of "
                f"{case.requests}, safe after {safe}; before: {case.normal_ms:.0f} ms {case.flaws}"
            )
    return cases


def rows_of(cases: Sequence[Case]) -> Iterator[Row]:
    """One row a fault and system: medians over its runs."""
    names = {system.key: system.name for system in SYSTEMS}
    for fault in FAULTS:
        for key, name in names.items():
            runs = [case for case in cases if (case.fault, case.system) == (fault, key)]
            if not runs:
                continue
            safe = sorted(math.inf if case.safe_s is None else case.safe_s for case in runs)
            yield {
                "fault": fault,
                "system": key,
                "name": name,
                "runs": len(runs),
                "requests": round(statistics.median(case.requests for case in runs)),
                "bad": statistics.median(case.bad for case in runs),
                "slow": statistics.median(case.slow for case in runs),
                "safe_s": _finite(statistics.median(safe)),
                "safe_s_least": _finite(safe[0]),
                "safe_s_most": _finite(safe[-1]),
                "range": None if len(runs) == 1 else f"{_told(safe[0])} to {_told(safe[-1])}",
            }


def _told(seconds: float) -> str:
    return "never" if math.isinf(seconds) else f"{seconds:.1f}"


def _finite(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def figures_of(rows: Iterable[Row]) -> Mapping[str, float]:
    """The figures that are compared over time. A system that is never safe has no time until then:
    that figure is missing."""
    found: dict[str, float] = {}
    safe: dict[str, list[float]] = {}
    for row in rows:
        system, seconds = str(row["system"]), row["safe_s"]
        safe.setdefault(system, []).append(
            float(seconds) if isinstance(seconds, int | float) else math.inf
        )
        for (fault, count), name in _FIGURES.items():
            value = row[count]
            if row["fault"] == fault and isinstance(value, int | float):
                found[f"{system}_{name}"] = value
    for system, times in safe.items():
        for name, value in (("median", statistics.median(times)), ("max", max(times))):
            if math.isfinite(value):
                found[f"{system}_safe_s_{name}"] = value
    return found
