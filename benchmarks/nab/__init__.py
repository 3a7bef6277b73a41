"""Anomalies in real series, found without looking ahead: the Numenta Anomaly Benchmark, held out.

``--data DIR`` names a folder with ``windows.json`` (file -> labelled windows) and the series it
names (``timestamp,value``); the public originals are in the repository numenta/NAB. Every detector
sees a file's values one after the other and never the file as a whole; one configuration for all
files. The threshold is chosen on one half of the files and frozen, the other half is scored: the
mean over 20 seeded splits, and their spread. Vagus' detector is the fleet's own code, a fleet of
one series; its number is ``score``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.nab import rivals
from benchmarks.nab.scoring import PROFILES, Corpus, Floats, Scored
from benchmarks.report import Options, Result, Row
from vagus.detection.baseline import Budget, Fleet
from vagus.errors import VagusError

SPLITS, SEED = 20, 0
QUICK_EVERY = 8
"""A quick look takes every eighth file."""
COLUMNS = {
    "detector": "detector",
    "files": "files",
    "standard": "standard",
    "low_fp": "low FP",
    "low_fn": "low FN",
    "spread": "spread (standard)",
    "all": "threshold of all files",
}


@dataclass(frozen=True)
class Series:
    """One file: when, what, and the labelled windows as indices."""

    name: str
    at: Floats
    values: Floats
    windows: Sequence[tuple[int, int]]

    @property
    def category(self) -> str:
        return self.name.partition("/")[0]


def run(options: Options) -> Result:
    """Raises VagusError if there is no such folder."""
    if options.data is None:
        raise VagusError("the series are not part of this repository", mend="name them by --data")
    every = QUICK_EVERY if options.quick else 1
    files = [file for file in load(options.data)[::every] if options.wants(file.name)]
    detectors: dict[str, Callable[[Floats, Floats], Floats]] = {"vagus": vagus, **rivals.RIVALS}
    notes = [
        f"thresholds frozen on one half of {len(files)} files, scored on the other: mean of "
        f"{SPLITS} seeded splits; a category has too few files for that, so "
        "the threshold there is that of all files",
        "'threshold of all files' is what published scores are: tuned on what is scored",
    ]
    if rivals.river_is_missing():
        detectors.pop("river")
        notes.append("river is left out: pip install river")
    rows: list[Row] = []
    figures: dict[str, float] = {}
    for name, detector in detectors.items():
        scored = []
        for file in files:
            options.say(f"{name}: {file.name}")
            scored.append(Scored(detector(file.at, file.values), file.windows))
        _judge(name, files, scored, rows, figures)
    return Result("nab", COLUMNS, rows, figures, notes)


def _judge(
    name: str, files: Sequence[Series], scored: Sequence[Scored], rows: list[Row],
    figures: dict[str, float],
) -> None:  # fmt: skip
    corpus = Corpus(scored)
    held = {profile: corpus.held_out(how, SPLITS, SEED) for profile, how in PROFILES.items()}
    means = {profile: float(scores.mean()) for profile, scores in held.items()}
    everything = np.arange(len(files))
    whole = {profile: corpus.totals(everything, how) for profile, how in PROFILES.items()}
    rows.append(
        {
            "detector": name,
            "files": len(files),
            **means,
            "spread": float(held["standard"].std()),
            "all": float(whole["standard"].max()),
        }
    )
    prefix = "" if name == "vagus" else f"{name}_"
    figures.update({prefix + profile: mean for profile, mean in means.items()})
    for category in sorted({file.category for file in files}):
        which = np.flatnonzero([file.category == category for file in files])
        if corpus.windows[which].any():
            of = {
                profile: float(corpus.totals(which, how)[int(np.argmax(whole[profile]))])
                for profile, how in PROFILES.items()
            }
            rows.append({"detector": f"{name}: {category}", "files": len(which), **of})


def load(folder: Path) -> list[Series]:
    """All series named by ``windows.json`` that are there. Raises VagusError if there are none."""
    try:
        labels: Mapping[str, list[list[str]]] = json.loads(
            (folder / "windows.json").read_text(encoding="utf-8")
        )
    except (OSError, json.JSONDecodeError) as error:
        raise VagusError(f"no labels: {error}", where=str(folder)) from error
    files = [
        _read(folder, name, labels[name]) for name in sorted(labels) if (folder / name).exists()
    ]
    if not files:
        raise VagusError("none of the series named by windows.json is there", where=str(folder))
    return files


def _read(folder: Path, name: str, labels: Sequence[Sequence[str]]) -> Series:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        read = [(row["timestamp"], float(row["value"])) for row in csv.DictReader(file)]
    at = _seconds([when for when, _ in read])
    windows = []
    for begin, end in labels:
        first, last = _seconds([begin, end])
        inside = np.flatnonzero((at >= first) & (at <= last))
        if len(inside):
            windows.append((int(inside[0]), int(inside[-1])))
    return Series(name, at, np.array([value for _, value in read]), windows)


def _seconds(written: Sequence[str]) -> Floats:
    moments = np.array([text.replace(" ", "T") for text in written], dtype="datetime64[us]")
    return moments.astype(np.int64) / 1e6


def vagus(at: Floats, values: Floats) -> Floats:
    """Scores of a fleet of one. The grid is what the first values show."""
    tick = max(float(np.median(np.diff(at[:50]))), 1.0)
    fleet = Fleet(tick, Budget(), seed=SEED)
    fleet.add(["series"])
    scores = np.empty(len(values))
    for number, when in enumerate(at):
        scores[number] = fleet.update(values[number : number + 1], at=float(when)).score[0]
    return scores
