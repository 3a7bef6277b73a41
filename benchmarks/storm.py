"""A thousand incidents at once among ten thousand replicas: do the limits hold, and who waits?

The fleet, its faults and the order of effects of a workflow are simulated on a clock that is moved
by hand; the state (SQLite, in memory where the machine offers a memory disk), the gate with every
guard, and the reconciler that admits are the real ones. Nine in ten incidents are false: one sense
alone is wrong for ten minutes. After every intent that is let pass, what stays in traffic and how
many replicas were treated is counted anew. There is no peer: nobody else's gate can be asked.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Options, Result, Row
from vagus.config import PolicySettings
from vagus.model import Subject, Symptom
from vagus.testing.storm import Storm, Tally

COMPONENTS, REPLICAS, INCIDENTS = 100, 100, 1000
QUICK_INCIDENTS = 100
POLICY = PolicySettings.model_validate({"floor": "50%", "budget": "10% per 10m"})
REAL_SHARE = 0.1
WITHIN = 10.0  # s in which all of it begins
FALSE_LASTS = 600.0  # s
SIMULATED = 900.0  # s
SEED = 20_261_124
MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it

COLUMNS = {"what": "what", "value": "value"}


def run(options: Options) -> Result:
    incidents = QUICK_INCIDENTS if options.quick else INCIDENTS
    where = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        storm = Storm(
            Path(folder), components=COMPONENTS, replicas=REPLICAS, policy=POLICY, seed=SEED
        )
        real = _faults(storm, incidents)
        began = time.process_time()
        storm.run(SIMULATED)
        took = time.process_time() - began
        healed = {storm.incidents.get(name).subject for name in storm.tally.healed_at}
        storm.close()
    return _result(storm.tally, incidents, len(real), len(real & healed), took)


def _faults(storm: Storm, incidents: int) -> set[Subject]:
    """Put them in; the subjects of the real ones."""
    dice = random.Random(SEED)
    fleet = [
        Subject(node.name, name)
        for node in storm.topology.components.values()
        for name in node.replicas
    ]
    chosen = dice.sample(fleet, incidents)
    real = set(chosen[: int(REAL_SHARE * incidents)])
    for subject in chosen:
        is_real = subject in real
        storm.fault(
            subject,
            real=is_real,
            at=dice.uniform(0.0, WITHIN),
            lasts=None if is_real else FALSE_LASTS,
            symptom=Symptom.GONE if is_real else Symptom.SLOW,
        )
    return real


def _result(tally: Tally, incidents: int, real: int, healed: int, took: float) -> Result:
    scale = 1024 if sys.platform != "darwin" else 1
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6
    figures = {
        "incidents": float(incidents),
        "floor_violations": float(len(tally.floor_broken)),
        "budget_violations": float(len(tally.budget_broken)),
        "real_faults": float(real),
        "real_faults_repaired": float(healed),
        "most_waiting": float(tally.most_waiting),
        "decisions": float(tally.decisions),
        "decision_ms": 1000.0 * took / max(1, tally.decisions),
        "storm_s": took,
        "rss_mb": megabytes,
    }
    words = {
        "incidents": "incidents at once",
        "floor_violations": "instants at which the floor was broken",
        "budget_violations": "instants at which the budget was exceeded",
        "real_faults": "real faults among them",
        "real_faults_repaired": "of those, repaired",
        "most_waiting": "most that waited to be admitted",
        "decisions": "decisions of the gate",
        "decision_ms": "CPU time a decision, everything counted (ms)",
        "storm_s": f"CPU time for {SIMULATED:.0f} simulated seconds (s)",
        "rss_mb": "largest memory (MB)",
    }
    rows: list[Row] = [{"what": words[name], "value": value} for name, value in figures.items()]
    return Result("storm", COLUMNS, rows, figures)
