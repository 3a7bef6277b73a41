"""Just enough of the Prometheus exposition format for the lab's own services to be scraped.

Three kinds of instruments and one function that renders them, version 0.0.4 of the text format.
The lab's services are stand-ins for somebody's real ones, so they say what a well-kept service
says: requests by status code, durations as a histogram, what is in flight, and a counter that moves
only when work is done, by which a busy replica and a hung one can be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

DURATION_BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds in seconds."""

Labels = tuple[tuple[str, str], ...]


class Instrument(Protocol):
    """What :func:`exposition` renders."""

    def lines(self) -> Iterator[str]: ...


@dataclass
class Counter:
    """Only ever grows; one value for each combination of labels that has occurred."""

    name: str
    help: str
    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, amount: float = 1, **labels: str) -> None:
        key = tuple(labels.items())
        self.values[key] = self.values.get(key, 0) + amount

    def lines(self) -> Iterator[str]:
        yield from _head(self.name, "counter", self.help)
        for labels, value in self.values.items():
            yield f"{self.name}{_braces(labels)} {value:.17g}"


@dataclass
class Gauge:
    """A value that goes up and down."""

    name: str
    help: str
    value: float = 0
    labels: Labels = ()

    def lines(self) -> Iterator[str]:
        yield from _head(self.name, "gauge", self.help)
        yield f"{self.name}{_braces(self.labels)} {self.value:.17g}"


@dataclass
class Histogram:
    """How observations spread over fixed buckets."""

    name: str
    help: str
    bounds: Sequence[float] = DURATION_BUCKETS
    series: dict[Labels, list[float]] = field(default_factory=dict)
    """For each combination of labels: a count per bucket, then those above all, then the sum."""

    def observe(self, value: float, **labels: str) -> None:
        row = self.series.setdefault(tuple(labels.items()), [0.0] * (len(self.bounds) + 2))
        place = next((n for n, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        row[place] += 1
        row[-1] += value

    def lines(self) -> Iterator[str]:
        yield from _head(self.name, "histogram", self.help)
        for labels, (*counts, total) in self.series.items():
            below = 0.0
            for bound, count in zip((*self.bounds, float("inf")), counts, strict=True):
                below += count
                le = "+Inf" if bound == float("inf") else f"{bound:g}"
                yield f"{self.name}_bucket{_braces((*labels, ('le', le)))} {below:.17g}"
            yield f"{self.name}_sum{_braces(labels)} {total:.17g}"
            yield f"{self.name}_count{_braces(labels)} {below:.17g}"


def exposition(*instruments: Instrument) -> str:
    """The body of ``/metrics``."""
    return "".join(f"{line}\n" for instrument in instruments for line in instrument.lines())


def _head(name: str, kind: str, help_text: str) -> Iterator[str]:
    yield f"# HELP {name} {help_text}"
    yield f"# TYPE {name} {kind}"


def _braces(labels: Labels) -> str:
    quoted = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{quoted}}}" if quoted else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
