"""A detector of drift, kept over a restart; from then on it judges as if nothing had happened.

The reference is in it: without that, what was learned means nothing. Labels are not: they may be
users' texts, and those stay in memory.
"""

from __future__ import annotations

import json
from collections import Counter

import numpy as np

from vagus.detection.drift.detector import Drift
from vagus.detection.drift.reference import Reference, Rejection
from vagus.detection.sealed import Seal
from vagus.errors import StateError

SEAL = Seal(b"vagus-drift", 1, "a detector of drift")


def snapshot(drift: Drift) -> bytes:
    """All that ``drift`` knows."""
    reference = drift.reference
    about = {
        "model": reference.model,
        "index": reference.index,
        "memory": reference.memory,
        "spread": reference.spread,
        "run_length": drift.run_length,
        "seen": drift.seen,
        "alarms": drift.alarms,
        "in_window": drift.in_window,
        "rejected": drift.rejected,
        "chance": drift.chance.bit_generator.state,
    }
    columns = {
        **drift.parts(),
        "reference": reference.vectors,
        "about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
    }
    return SEAL.close(columns)


def restore(data: bytes, *, model: str, index: str = "") -> Drift:
    """The detector of a snapshot, if it is of this model and index.

    Raises StateError if the snapshot is damaged, another's or too new, or of another model or
    index: its reference can't be compared with the vectors of this one.
    """
    with SEAL.open(data) as columns:
        about = json.loads(columns["about"].tobytes())
        if (about["model"], about["index"]) != (model, index):
            raise StateError(
                f"the reference is of model {about['model']!r}, index {about['index']!r}",
                mend=f"take a new reference of model {model!r}, index {index!r}",
            )
        reference = Reference(columns["reference"], about["memory"], model, index, about["spread"])
        drift = Drift(reference, run_length=about["run_length"])
        drift.adopt({name: columns[name] for name in drift.parts()}, about["in_window"])
    drift.seen, drift.alarms = about["seen"], about["alarms"]
    drift.rejected = Counter({Rejection(why): n for why, n in about["rejected"].items()})
    drift.chance.bit_generator.state = about["chance"]
    return drift
