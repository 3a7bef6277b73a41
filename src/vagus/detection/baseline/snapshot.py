"""What a fleet has learned, kept over a restart.

A file that is not whole, not ours or from a newer version (:mod:`vagus.detection.sealed`) is set
aside under another name, with a warning, and learning starts again: no baseline at all is better
than a wrong one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import structlog

from vagus.detection.baseline.budget import Tally
from vagus.detection.baseline.fleet import Fleet
from vagus.detection.sealed import Seal
from vagus.errors import StateError

SEAL = Seal(b"vagus-baselines", 1, "baselines")

_log = structlog.get_logger(__name__)


def snapshot(fleet: Fleet) -> bytes:
    """All that ``fleet`` has learned."""
    about = {
        "names": fleet.names,
        "ticks": fleet.ticks,
        "at": fleet.at,
        "tick": fleet.tick,
        "seed": fleet.seed,
        "tally": vars(fleet.tally),
    }
    arrays = {
        f"{part}.{name}": array
        for part, (state, layout) in fleet.parts().items()
        for name, array in zip(layout, state, strict=True)
    }
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    return SEAL.close(arrays)


def restore(fleet: Fleet, data: bytes, *, any_grid: bool = False) -> None:
    """Give a fleet without series what a snapshot holds. The seed and the tick must be the same,
    unless ``any_grid``: such a fleet can teach others, and is not to go on by itself.

    Raises StateError if the snapshot is damaged, another's or too new; the fleet is untouched.
    """
    if len(fleet):
        raise ValueError("only a fleet without series can be restored")
    with SEAL.open(data) as arrays:
        about = json.loads(arrays["about"].tobytes())
        if not any_grid and (about["tick"], about["seed"]) != (fleet.tick, fleet.seed):
            raise StateError(
                f"baselines were learned at a tick of {about['tick']:g} s, seed {about['seed']}",
                mend="use the same, or let Vagus learn again",
            )
        states = {}
        for part, (state, layout) in fleet.parts().items():
            read = {name: arrays[f"{part}.{name}"] for name in layout}
            for name, column in layout.items():
                expected = column.make(len(about["names"]))
                if (read[name].dtype, read[name].shape) != (expected.dtype, expected.shape):
                    raise StateError(f"the column {part}.{name} has another shape than it had")
            states[part] = type(state)(**read)
    tally = about["tally"]
    fleet.adopt(about["names"], states, about["ticks"], about["at"])
    fleet.tally = Tally(**{**tally, "recent": tuple(tally["recent"])})


def save(fleet: Fleet, path: Path) -> None:
    """Write a snapshot, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(snapshot(fleet))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def load(fleet: Fleet, path: Path, *, any_grid: bool = False) -> bool:
    """Restore from a file if there is a good one; a bad one is set aside with a warning."""
    try:
        restore(fleet, path.read_bytes(), any_grid=any_grid)
    except FileNotFoundError:
        return False
    except StateError as error:
        aside = _aside(path)
        path.rename(aside)
        _log.warning("baselines_set_aside", reason=str(error), file=str(aside))
        return False
    return True


def _aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.bad-{number}")).exists():
        number += 1
    return aside
