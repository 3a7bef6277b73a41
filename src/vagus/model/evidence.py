"""Telemetry: what was seen of one replica."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from vagus.model.subject import Subject, no_numbers


class Sense(StrEnum):
    """Where evidence comes from. Two findings are independent when their senses differ."""

    GATEWAY = "gateway"
    SCRAPE = "scrape"
    PROBE = "probe"
    PUSH = "push"  # what callers and servers send us of their own accord


class Failure(StrEnum):
    """How an exchange with a replica went wrong, in the terms of the exchange itself."""

    REFUSED = "refused"  # nothing listens there
    TIMEOUT = "timeout"  # accepted, but silent past the deadline
    RESET = "reset"  # the connection broke before the first byte
    TRUNCATED = "truncated"  # the stream broke after its first byte
    SERVER_ERROR = "server-error"  # HTTP 5xx
    WRONG_TYPE = "wrong-type"  # a content type that this kind of component never answers with
    UNPARSEABLE = "unparseable"  # the right content type, but it can't be read, or is empty


class Phase(StrEnum):
    STARTED = "started"
    STREAMING = "streaming"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a request at one replica, as the gateway saw it.

    A request that was retried is several attempts. While it lasts it is reported when it starts and
    then every second or so, which is what makes a stream that stands still visible.
    """

    subject: Subject
    id: str  # request id and attempt number: unique for one attempt
    phase: Phase
    at: float  # when this report was made
    started_at: float
    failure: Failure | None = None
    status: int | None = None  # HTTP status
    time_to_first_token: float | None = None
    duration: float = 0.0
    received_bytes: int = 0
    content_type: str = ""
    cohort: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many fell into each bucket since counting began (cumulative in time, not over buckets).

    ``counts[i]`` is of what is at most ``bounds[i]`` and above the bound before; the last count,
    one more than there are bounds, is of what is above them all. Bounds rise and are finite.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]


Histograms = Mapping[str, Histogram]


def no_histograms() -> Histograms:
    return {}


@dataclass(frozen=True, slots=True)
class Scrape:
    """One reading of a subject's metrics: its own (SCRAPE), what the gateway counts of it
    (GATEWAY), or what was sent to us (PUSH). ``values`` maps canonical signal names to numbers;
    counters and histograms are given as they stand (cumulative), so that a reader can tell a
    reset."""

    subject: Subject
    at: float
    failure: Failure | None = None
    values: Mapping[str, float] = field(default_factory=no_numbers)
    sense: Sense = Sense.SCRAPE
    histograms: Histograms = field(default_factory=no_histograms)


@dataclass(frozen=True, slots=True)
class Probe:
    """One small question put to a replica directly, past the gateway."""

    subject: Subject
    at: float  # when it ended
    failure: Failure | None = None
    time_to_first_token: float | None = None
    time_per_token: float | None = None
    duration: float = 0.0
    answer: str = ""  # greedy decoding: siblings with the same weights answer alike


INVALID = "(invalid)"
"""How the name of an index ends that is there and that no search can use."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One query that was put to a collection twice: as its callers put theirs, and as an exact
    search of the same rows."""

    subject: Subject  # the component, and the collection in the place of a replica
    at: float  # when it ended
    failure: Failure | None = None
    query: str = ""  # what a person can tell it by
    cluster: str = ""
    k: int = 0  # rows that were asked for
    exact: int = 0  # rows that the exact search gave: k, or all there are
    returned: int = 0  # rows that callers get
    agreed: int = 0  # of these, so many are no farther than the exact search's farthest
    latency: float = 0.0
    exact_latency: float = 0.0
    index: str = ""  # which one answered, with its parameters; else empty, or the invalid one
    dead: float = 0.0  # share of the table's rows that were deleted and not cleaned up
    golden: bool | None = None  # whether the exact search finds what is expected; None: nothing is
    gone: str = ""  # expected documents that are no longer there

    @property
    def recall(self) -> float:
        """Share of the nearest rows that callers get; 1 where there are none to be found."""
        return self.agreed / self.exact if self.exact else 1.0


Evidence = Attempt | Scrape | Probe | Retrieval
