"""The baselines of one process: what was learned before, how it is tuned, and where it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from vagus.config import Settings, SignalSettings
from vagus.detection.baseline import Budget, Fleet
from vagus.detection.baseline.roster import Roster, Traits
from vagus.detection.baseline.snapshot import load, save
from vagus.detection.baselines import Baselines
from vagus.model import Subject
from vagus.model.series import Column
from vagus.model.signals import SIGNALS, Worse
from vagus.topology import Topology

LARGE = 500
"""Replicas from which compiled detectors are worth the second and the hundred megabytes that they
take to load."""
SHARE_OF_BUDGET = 0.9
"""Of the false alarms that the user finds bearable; searches have the rest (:mod:`.retrieval`).
Reflexes have bounds of their own, far below it."""
SAVE_EVERY = 300.0  # s: what a killed process has to learn again

LEARNED, TAUGHT = "learned", "baselines"
"""Folder within the history, and file in it, of what ``vagus learn`` fetched and taught."""

log = structlog.get_logger()
_NOT_KNOWN_BETTER = SignalSettings()


def baselines(
    settings: Settings,
    topology: Callable[[], Topology],
    guarded: Callable[[], frozenset[Subject]],
) -> Baselines:
    """With what was learned before, if it is there and whole."""
    allowed, tick = settings.false_alarms, settings.telemetry.interval
    large = len(topology().replicas()) >= LARGE
    budget = Budget(SHARE_OF_BUDGET * allowed.count, allowed.period)
    fleet = Fleet(tick, budget, fast=None if large else False)
    if settings.telemetry.baselines is not None:
        load(fleet, settings.telemetry.baselines)
    return Baselines(
        topology,
        fleet,
        traits_of=lambda signal: _traits(settings, signal),
        guarded=guarded,
        warm_up=settings.healing.warm_up,
        teacher=_teacher(settings),
    )


def teach(
    settings: Settings, topology: Topology, past: Iterable[Column], step: float, folder: Path
) -> int:
    """Learn from ``past``, columns that are ``step`` seconds apart, and leave in ``folder`` what
    the baselines of a Vagus that has not seen these series yet begin with. How many series."""
    fleet = Fleet(step, Budget(), fast=None)
    roster = Roster(fleet, lambda signal: _traits(settings, signal), demand_ticks=1)
    members = frozenset(map(Subject, topology.components)).union(topology.replicas())
    for column in past:
        roster.follow(column.series, members)
        if len(fleet):
            demand = roster.demand(column)
            fleet.update(roster.values(column), None, demand, at=column.at)
    if len(fleet):
        save(fleet, folder / TAUGHT)
    return len(fleet)


def _teacher(settings: Settings) -> Fleet | None:
    """What ``vagus learn`` left, whatever its grid; None if there is nothing, or nothing whole."""
    if settings.telemetry.history is None:
        return None
    path = settings.telemetry.history / LEARNED / TAUGHT
    fleet = Fleet(1.0, Budget(), fast=False)
    return fleet if load(fleet, path, any_grid=True) else None


def _traits(settings: Settings, signal: str) -> Traits:
    known, better = SIGNALS[signal], settings.signals.get(signal, _NOT_KNOWN_BETTER)
    worse = known.worse if better.worse is None else Worse(better.worse)
    return Traits(
        worse=worse if better.watch else Worse.EITHER,
        floor=known.floor if better.floor is None else better.floor,
        least=better.min_samples,
    )


class Keeper:
    """Writes what was learned, every few minutes and in the end. That it can't be written costs
    only what a restart has to learn again, so it is told and nothing more."""

    def __init__(self, fleet: Fleet, path: Path | None, now: float) -> None:
        self._fleet = fleet
        self._path = path
        self._due = now + SAVE_EVERY

    def due(self, now: float) -> bool:
        if self._path is None or now < self._due:
            return False
        self._due = now + SAVE_EVERY
        return True

    def save(self) -> None:
        if self._path is None or not len(self._fleet):
            return
        try:
            save(self._fleet, self._path)
        except OSError as error:
            log.warning("baselines.not_written", file=str(self._path), error=error.strerror)
