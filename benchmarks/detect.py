"""How fast a fleet is judged: series-updates per second of CPU time, one core, the full tick.

The full tick is everything a fleet does: forecast, evidence, novelty, peers (groups of four),
absence, budget. Series are noise about a level, so every detector has work and none has news. The
peers, river's HoltWinters and HalfSpaceTrees, take the same values one series at a time, as they
are made. The limit is the machine's memory: what copying the bytes that a tick touches would take.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Options, Result, Row
from vagus.detection.baseline import Budget, Fleet
from vagus.detection.baseline.backend import compiled_is_there

SIZES = (1_000, 10_000, 100_000)
ROUNDS, QUICK_ROUNDS = 7, 3
ENOUGH_S = 0.3
WARM_TICKS, QUICK_WARM_TICKS = 400, 130
"""Ticks before anything is measured: novelty is judged after a hundred, and is rare later."""
TOUCHED = 1_000
"""Bytes of a series that a tick reads or writes, about: all but most slots of its seasons."""
RIVER_POINTS, QUICK_RIVER_POINTS = 40_000, 4_000

COLUMNS = {
    "detector": "detector",
    "series": "series",
    "updates_per_s": "series-updates/s",
    "range": "range",
    "tick_ms": "a tick, ms",
    "core_share": "share of a core at 1 s",
    "bytes": "bytes a series",
}


def run(options: Options) -> Result:
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    rows: list[Row] = []
    speeds: dict[tuple[str, int], float] = {}
    notes = ["CPU time of one process; other load on the machine doesn't count, its caches do"]
    for form, fast in (("numba", True), ("numpy", False)):
        if fast and not compiled_is_there():
            notes.append("the compiled form is left out: pip install 'vagus[fast]'")
            continue
        for series in SIZES:
            if options.wants(form):
                options.say(f"{form}, {series:,} series")
                row = _fleet(form, fast, series, rounds, options.quick)
                speeds[form, series] = float(row["updates_per_s"] or 0)
                rows.append(row)
    best = "numba" if ("numba", SIZES[-1]) in speeds else "numpy"
    figures: dict[str, float] = {}
    if (best, SIZES[-1]) in speeds:
        row = next(r for r in rows if (r["detector"], r["series"]) == (best, SIZES[-1]))
        figures["updates_per_s_100k"] = speeds[best, SIZES[-1]]
        figures["bytes_per_series"] = float(row["bytes"] or 0)
        figures["tick_100k_core_share"] = float(row["core_share"] or 0)
    for name, speed in _rivers(options).items():
        rows.append({"detector": f"river {name}", "series": 1, "updates_per_s": speed})
        if "updates_per_s_100k" in figures:
            figures[f"ratio_river_{name.lower()}"] = figures["updates_per_s_100k"] / speed
    limit = _copied_per_s()
    rows.append({"detector": "memory alone", "updates_per_s": limit / TOUCHED, "series": SIZES[-1]})
    notes.append(f"memory copies {limit / 1e9:.1f} GB/s; a tick touches {TOUCHED} bytes a series")
    if not any(str(row["detector"]).startswith("river") for row in rows):
        notes.append("river is left out: pip install river")
    return Result("detect", COLUMNS, rows, figures, notes)


def _fleet(form: str, fast: bool, series: int, rounds: int, quick: bool) -> Row:
    fleet = Fleet(1.0, Budget(), fast=fast)
    fleet.add([str(number) for number in range(series)], group=(np.arange(series) // 4).tolist())
    random = np.random.default_rng(0)
    ticks = [random.normal(10.0, 1.0, series) for _ in range(16)]
    wanted = QUICK_WARM_TICKS if quick else WARM_TICKS
    for tick in range(wanted if fast or series < SIZES[-1] else QUICK_WARM_TICKS):
        fleet.update(ticks[tick % 16])
    measured = []
    for _ in range(rounds):
        done, began = 0, time.process_time()
        while (spent := time.process_time() - began) < ENOUGH_S:
            fleet.update(ticks[done % 16])
            done += 1
        measured.append(done * series / spent)
    speed = statistics.median(measured)
    return {
        "detector": form,
        "series": series,
        "updates_per_s": speed,
        "range": f"{min(measured):,.0f} .. {max(measured):,.0f}",
        "tick_ms": 1000.0 * series / speed,
        "core_share": series / speed,
        "bytes": fleet.bytes_per_series,
    }


def _rivers(options: Options) -> dict[str, float]:
    """Points per second of each of river's, learning and judging; empty without river."""
    try:
        from river import anomaly, time_series
    except ImportError:
        return {}
    points = QUICK_RIVER_POINTS if options.quick else RIVER_POINTS
    values = np.random.default_rng(0).normal(10.0, 1.0, points).tolist()
    holt = time_series.HoltWinters(alpha=0.1, beta=0.01, gamma=0.1, seasonality=168)
    for value in values[:400]:
        holt.learn_one(value)
    trees = anomaly.HalfSpaceTrees(n_trees=10, seed=0)

    def forecast(value: float) -> None:
        holt.forecast(horizon=1)
        holt.learn_one(value)

    def isolate(value: float) -> None:
        trees.score_one({"x": value / 20.0})
        trees.learn_one({"x": value / 20.0})

    return {"HoltWinters": _each(forecast, values), "HalfSpaceTrees": _each(isolate, values)}


def _each(work: Callable[[float], None], values: list[float]) -> float:
    began = time.process_time()
    for value in values:
        work(value)
    return len(values) / (time.process_time() - began)


def _copied_per_s() -> float:
    """Bytes read and written by a copy far larger than the caches."""
    source: NDArray[np.float64] = np.ones(16_000_000)
    target = np.empty_like(source)
    best = 0.0
    for _ in range(5):
        began = time.process_time()
        np.copyto(target, source)
        best = max(best, 2 * source.nbytes / (time.process_time() - began))
    return best
