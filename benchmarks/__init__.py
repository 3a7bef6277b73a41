"""Benchmarks: ours, a peer and, where there is one, the physical limit, on the same work in the
same run.

::

    python -m benchmarks NAME [--data DIR] [--json FILE] [--quick] [--only WORD]
    python -m benchmarks all  [--quick]
    python -m benchmarks docs

A benchmark is a module of this package, named in :data:`NAMES`, with one function
``run(options) -> Result`` (:mod:`benchmarks.report`). It prints nothing but its progress; the
table, the JSON and ``docs/benchmarks.md`` are made from the result, so that they can't disagree.

The *figures* of a result are what is compared over time: stable names in snake_case with the unit
last. A figure that could not be measured is missing, never guessed, and a note says why. A peer
that is not installed is left out in the same way.

A full run is written to ``results/NAME.json`` beside this file, with the machine, the date and
the commit; ``docs`` turns the last ones into ``docs/benchmarks.md``. ``--quick`` has the same
shape, ends within a minute, and is for a look only: nothing is kept of it.
"""

from __future__ import annotations

NAMES = (
    "reaction",
    "ingest",
    "overhead",
    "policy",
    "guards",
    "crash",
    "abort",
    "storm",
    "budget",
    "nab",
    "detect",
    "drift",
    "answers",
    "retrieval",
)
