"""Drift of queries: how soon it is seen, how often it is seen where there is none, and which part.

Real queries of CLINC150 and BANKING77 (``--data DIR``), embedded offline. A stream without drift is
drawn, without replacement, from the same intents as its reference of 2,000; its alarms are counted
against the declared run length. A stream with drift is quiet for 500 queries and then holds a share
of others: out of scope, of one intent or of fifteen that the reference never had. Each stream draws
its intents and queries anew from a seed, and there is one configuration for all.

The delay is in queries after the change; a stream that is not found within 900 counts as later than
all others in the median. Slices are named after 400 queries of the change, of those alone. Peers
see the same streams, fewer of them.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks import drift_peers as peers
from benchmarks.report import Options, Result, Row
from benchmarks.texts import Texts, load
from vagus.detection.drift import Drift, Reference

REFERENCE, QUIET, AFTER, SLICED = 2_000, 500, 900, 400
RUN_LENGTH = 10_000.0
NULLS = {1_000.0: (200, 1_000), RUN_LENGTH: (60, 3_000)}
"""Declared run length: streams of each data set, and their length."""
QUICK_NULLS = {1_000.0: (4, 1_000)}
STREAMS, QUICK_STREAMS = 25, 2
PEER_STREAMS, QUICK_PEER_STREAMS = 5, 1
RIVER_NULLS, QUICK_RIVER_NULLS = 10, 1
SHARES = (0.1, 0.3)
SPEED_VECTORS = 6_000
ROUNDS = 5
COLUMNS = {
    "detector": "detector",
    "data": "queries",
    "drift": "drift",
    "share": "share",
    "streams": "streams",
    "delay": "delay, median",
    "found": "found within 900",
    "declared": "declared run length",
    "ratio": "measured / declared",
    "precision": "slice precision",
    "recall": "slice recall",
}


@dataclass(frozen=True)
class Case:
    """One stream: reference, vectors, and which of them drifted."""

    reference: NDArray[np.float32]
    stream: NDArray[np.float32]
    drifted: NDArray[np.bool_]
    seed: int

    def detector(self, run_length: float) -> Drift:
        reference = Reference.of(self.reference, model="minilm", seed=self.seed)
        return Drift(reference, run_length=run_length, seed=self.seed)


KINDS = {"none": 0, "out of scope": 0, "one new intent": 1, "fifteen new intents": 15}


def case(of: Texts, kind: str, share: float, quiet: int, after: int, seed: int) -> Case:
    """The stream of a seed: ``quiet`` queries, then ``after`` of which a share is of the kind."""
    random = np.random.default_rng(seed)
    known = np.unique(of.intents[~of.outside])
    new = random.choice(known, KINDS[kind], replace=False)
    fresh = np.isin(of.intents, new)
    old = random.permutation(np.flatnonzero(~fresh & ~of.outside))
    other = random.permutation(np.flatnonzero(fresh if len(new) else of.outside))
    rows = old[REFERENCE : REFERENCE + quiet + after].copy()
    drifted = np.zeros(len(rows), bool)
    drifted[quiet:] = random.random(len(rows) - quiet) < share
    # One intent has some 150 queries; they come again when they are used up.
    rows[drifted] = np.resize(other, int(drifted.sum()))
    return Case(of.vectors[old[:REFERENCE]], of.vectors[rows], drifted, seed)


def run(options: Options) -> Result:
    """Raises VagusError if there are no such data."""
    sets = load(options.data, options.say)
    rows: list[Row] = []
    figures: dict[str, float] = {}
    ratios = [_nulls(of, options, rows) for of in sets if options.wants("null")]
    for of in sets:
        rows.extend(_river_nulls(of, options) if options.wants("null") else [])
    if ratios:
        figures["arl_ratio_min"] = min(min(each) for each in ratios)
    delays: dict[float, list[float]] = {share: [] for share in SHARES}
    slices: list[tuple[float, float]] = []
    for of in sets:
        for kind, share in _drifts(of):
            if not options.wants(f"{of.name} {kind}"):
                continue
            options.say(f"{of.name}: {kind}, {share:.0%}")
            cases = [
                case(of, kind, share, QUIET, AFTER, 10_000 + seed)
                for seed in range(QUICK_STREAMS if options.quick else STREAMS)
            ]
            delays[share].append(_found(of, kind, share, cases, rows))
            if kind == "one new intent" and share == SHARES[0]:
                slices.append(_slices(of, kind, share, cases, rows))
            _peers(of, kind, share, cases, options, rows)
    for share, found in delays.items():
        if found and all(math.isfinite(delay) for delay in found):
            figures[f"delay_{share * 100:.0f}pct_worst_median"] = max(found)
    if slices:
        figures["slice_precision"] = min(precision for precision, _ in slices)
        figures["slice_recall"] = min(recall for _, recall in slices)
    if options.wants("speed"):
        figures["observations_per_s"] = _speed(sets[0])
    return Result("drift", COLUMNS, rows, figures, _notes(), {"delay": "later"})


def _notes() -> list[str]:
    return [
        f"delays at a declared run length of {RUN_LENGTH:,.0f}; peers' tests at the level "
        f"{peers.STRIDE / RUN_LENGTH:g} every {peers.STRIDE} queries on the last {peers.WINDOW}, "
        "river's with their own settings",
        "measured / declared: queries without drift for each alarm, over the declared run length "
        f"(river declares none: over {RUN_LENGTH:,.0f}); a promise is kept if it is at least 1",
        "slices: members that were named against those that drifted; a stream in which none is "
        "named has a recall of 0 and no precision",
        "the domain classifier is Evidently's method (a classifier tells window from reference), "
        "with a logistic regression of our own; frouros is left out: it does not install here",
    ]


def _drifts(of: Texts) -> Iterator[tuple[str, float]]:
    for kind in list(KINDS)[1:]:
        if kind != "out of scope" or of.outside.any():
            for share in SHARES:
                yield kind, share


def _nulls(of: Texts, options: Options, rows: list[Row]) -> list[float]:
    ratios = []
    for declared, (streams, length) in (QUICK_NULLS if options.quick else NULLS).items():
        options.say(f"{of.name}: {streams} streams without drift at {declared:,.0f}")
        alarms = 0
        for seed in range(streams):
            one = case(of, "none", 0.0, length, 0, 50_000 + seed)
            detector = one.detector(declared)
            detector.observe(one.stream)
            alarms += detector.alarms
        ratios.append(streams * length / max(alarms, 1) / declared)
        rows.append(
            {
                "detector": "vagus",
                "data": of.name,
                "drift": "none",
                "streams": streams,
                "delay": f"{alarms} alarms",
                "declared": declared,
                "ratio": ratios[-1],
            }
        )
    return ratios


def _river_nulls(of: Texts, options: Options) -> list[Row]:
    """How often river's detectors see drift where there is none, against the same run length."""
    streams = QUICK_RIVER_NULLS if options.quick else RIVER_NULLS
    length = NULLS[RUN_LENGTH][1]
    totals: dict[str, int] = {}
    for seed in range(streams):
        one = case(of, "none", 0.0, length, 0, 50_000 + seed)
        for name, alarms in peers.river_alarms(one.reference, one.stream).items():
            totals[name] = totals.get(name, 0) + len(alarms)
    return [
        {
            "detector": name,
            "data": of.name,
            "drift": "none",
            "streams": streams,
            "delay": f"{alarms} alarms",
            "ratio": streams * length / max(alarms, 1) / RUN_LENGTH,
        }
        for name, alarms in totals.items()
    ]


def _found(of: Texts, kind: str, share: float, cases: list[Case], rows: list[Row]) -> float:
    found = []
    for one in cases:
        detector = one.detector(RUN_LENGTH)
        detector.observe(one.stream[:QUIET])
        alarm = detector.observe(one.stream[QUIET:]).alarm
        found.append(None if alarm is None else alarm.at - QUIET + 1)
    rows.append(_row("vagus", of, kind, share, found))
    return _median(found)


def _median(found: list[int | None]) -> float:
    return statistics.median(math.inf if one is None else one for one in found)


def _row(
    detector: str, of: Texts, kind: str, share: float, found: list[int | None]
) -> dict[str, str | float | int | None]:
    median = _median(found)
    return {
        "detector": detector,
        "data": of.name,
        "drift": kind,
        "share": share,
        "streams": len(found),
        "delay": median if math.isfinite(median) else None,
        "found": sum(one is not None for one in found) / len(found),
        "declared": None if detector.startswith("river") else RUN_LENGTH,
    }


def _slices(
    of: Texts, kind: str, share: float, cases: list[Case], rows: list[Row]
) -> tuple[float, float]:
    """Mean precision and recall of the members that are named."""
    precisions, recalls = [], []
    for one in cases:
        detector = one.detector(RUN_LENGTH)
        detector.observe(one.stream[: QUIET + SLICED])
        members = np.zeros(SLICED, bool)
        for found in detector.slices(QUIET):
            members[found.members] = True
        truth = one.drifted[QUIET : QUIET + SLICED]
        hits = int((members & truth).sum())
        if members.any():
            precisions.append(hits / int(members.sum()))
        recalls.append(hits / int(truth.sum()))
    precision = statistics.fmean(precisions) if precisions else 0.0
    recall = statistics.fmean(recalls)
    rows.append(
        {
            "detector": "vagus, slices",
            "data": of.name,
            "drift": kind,
            "share": share,
            "streams": len(cases),
            "delay": f"after {SLICED}",
            "found": len(precisions) / len(cases),
            "precision": precision,
            "recall": recall,
        }
    )
    return precision, recall


def _peers(
    of: Texts, kind: str, share: float, cases: list[Case], options: Options, rows: list[Row]
) -> None:
    few = cases[: QUICK_PEER_STREAMS if options.quick else PEER_STREAMS]
    for name, test in peers.TESTS.items():
        found = [
            peers.tested(test, one.reference, one.stream, RUN_LENGTH, one.seed, QUIET)
            for one in few
        ]
        rows.append(_row(name, of, kind, share, found))
    river = [peers.river_alarms(one.reference, one.stream) for one in few]
    for name in river[0]:
        later = [[at - QUIET + 1 for at in each[name] if at >= QUIET] for each in river]
        found = [min(at) if at else None for at in later]
        rows.append(_row(name, of, kind, share, found))


def _speed(of: Texts) -> float:
    """Vectors a second of CPU time, in batches of 256, the median of some rounds."""
    one = case(of, "none", 0.0, SPEED_VECTORS, 0, 1)
    speeds = []
    for _ in range(ROUNDS):
        detector = one.detector(RUN_LENGTH)
        began = time.process_time()
        for start in range(0, SPEED_VECTORS, 256):
            detector.observe(one.stream[start : start + 256])
        speeds.append(SPEED_VECTORS / (time.process_time() - began))
    return statistics.median(speeds)
