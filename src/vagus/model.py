"""The frozen types that pass between the steps of the loop.

Each step takes the types of the one before it and returns its own::

    telemetry     Attempt, Scrape, Probe          what was seen of one replica
    detection     Finding                         a deviation, with its evidence
    diagnosis     Incident, Cause                 findings that belong together, and why
    planning      Plan, Remedy                    contain, treat, return
    policy        Request, Ruling                 may this be done, and who said what
    remediation   Intent, Override                written before it is done; desired traffic
    verification  Check, Verdict                  did it heal, by the same evidence?

They are values: nothing here reads a clock, a table or the network. Times are seconds since the
Unix epoch unless a name says otherwise; durations are seconds; shares lie between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


def _no_numbers() -> Mapping[str, float]:
    return {}


# --- who is spoken about ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """A component of the stack, or one replica of it.

    A replica's identity is its name, never its address: a replacement on the same port is somebody
    else, and the same replica on another port is still itself.
    """

    component: str
    replica: str = ""

    def __str__(self) -> str:
        return f"{self.component}/{self.replica}" if self.replica else self.component

    @classmethod
    def parse(cls, text: str) -> Subject:
        component, _, replica = text.partition("/")
        return cls(component, replica)


# --- telemetry: what was seen -------------------------------------------------------------------


class Sense(StrEnum):
    """Where evidence comes from. Two findings are independent when their senses differ."""

    GATEWAY = "gateway"
    SCRAPE = "scrape"
    PROBE = "probe"


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
class Scrape:
    """One reading of a replica's metrics: its own (SCRAPE), or what the gateway counts of it
    (GATEWAY). ``values`` maps canonical signal names to numbers; counters are given as they stand
    (cumulative), so that a reader can tell a reset."""

    subject: Subject
    at: float
    failure: Failure | None = None
    values: Mapping[str, float] = field(default_factory=_no_numbers)
    sense: Sense = Sense.SCRAPE


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


Evidence = Attempt | Scrape | Probe


# --- detection: what is not normal ----------------------------------------------------------------


class Symptom(StrEnum):
    GONE = "gone"  # connections are refused
    HUNG = "hung"  # work in progress that makes no progress
    ERRORING = "erroring"  # 5xx, resets
    CUTTING = "cutting"  # streams end midway
    SLOW = "slow"  # against its siblings
    WRONG_SHAPE = "wrong-shape"  # content type, empty, not parseable
    NONSENSE = "nonsense"  # the right shape with garbage in it
    SILENT = "silent"  # its metrics are missing: a state of its own, neither sick nor well


@dataclass(frozen=True, slots=True)
class Finding:
    """A deviation of one subject, by one sense, with its evidence. Level-triggered: it stays open
    for as long as the evidence holds and is closed when it no longer does."""

    subject: Subject
    symptom: Symptom
    sense: Sense
    opened_at: float
    last_seen_at: float
    sentence: str  # for a tired engineer
    samples: int = 0
    observed: float | None = None
    expected: float | None = None
    unit: str = ""
    since: float | None = None  # when the first piece of this evidence was seen
    closed_at: float | None = None

    @property
    def key(self) -> str:
        """One finding may be open per subject, symptom and sense."""
        return f"{self.subject}:{self.symptom}:{self.sense}"


@dataclass(frozen=True, slots=True)
class SensesReport:
    """Whether Vagus may believe what it sees. Not trusted means: hold still, and say so."""

    trusted: bool
    reason: str = ""
    silent: int = 0
    watched: int = 0


# --- diagnosis: what belongs together, and why ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cause:
    """A fault of the catalogue on a subject."""

    fault: str
    subject: Subject
    confidence: float
    sentence: str = ""


class IncidentState(StrEnum):
    OPEN = "open"  # known; its workflow runs, or is about to
    ESCALATED = "escalated"  # a person is needed; containment stays in force
    RESOLVED = "resolved"  # healed and verified, traffic returned
    SHADOWED = "shadowed"  # decided and recorded, nothing was touched; open until it subsides
    SUBSIDED = "subsided"  # the evidence went away and nothing had been done


@dataclass(frozen=True, slots=True)
class Incident:
    """Findings that belong together. ``version`` is what compare-and-set compares; ``epoch``
    numbers the healing workflows of one incident (``id:epoch``), so that a late one is known."""

    id: str
    subject: Subject
    cause: Cause
    state: IncidentState
    opened_at: float
    epoch: int = 1
    version: int = 1
    activity: str = ""  # what is being done this moment, in words
    note: str = ""  # why it was escalated or closed
    closed_at: float | None = None
    retry_at: float | None = None  # an escalated one is tried again then, if the evidence holds

    @property
    def workflow_id(self) -> str:
        return f"{self.id}:{self.epoch}"


# --- planning: what to do -------------------------------------------------------------------------


class Tier(IntEnum):
    """Who decides. R0 observe; R1 reversible or self-restoring, stateless, one replica: automatic;
    R2 automatic and tells someone; R3 one approver; R4 two distinct approvers; R5 never."""

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5


@dataclass(frozen=True, slots=True)
class Remedy:
    """One typed action on one target, as the playbook names it."""

    action: str  # eject, drain, weight, restart, replace ... (remediation's registry)
    target: Subject
    share: float = 0.0  # of traffic, for ``weight``


@dataclass(frozen=True, slots=True)
class Plan:
    """Contain, treat, return.

    ``containment`` keeps callers safe and is held until the incident closes; ``treatments`` are
    tried in order, each verified; ``return_steps`` are the shares of traffic given back one after
    the other, the last one 1.0.
    """

    fault: str
    target: Subject
    containment: tuple[Remedy, ...] = ()
    treatments: tuple[Remedy, ...] = ()
    return_steps: tuple[float, ...] = (1.0,)


# --- policy: may we? ------------------------------------------------------------------------------


class Decision(IntEnum):
    """Ordered by strictness: the strictest guard wins."""

    ALLOW = 0
    ASK = 1
    DENY = 2


@dataclass(frozen=True, slots=True)
class GuardRuling:
    """What one guard said, with the numbers it looked at."""

    guard: str
    decision: Decision
    reason: str
    retry_after: float | None = None  # seconds; None: waiting does not help
    numbers: Mapping[str, float] = field(default_factory=_no_numbers)


@dataclass(frozen=True, slots=True)
class Ruling:
    """The gate's answer: every guard was asked and every answer is kept."""

    decision: Decision
    guards: tuple[GuardRuling, ...]

    @property
    def deciding(self) -> tuple[GuardRuling, ...]:
        """The guards that held the decision at its strictness (all of them, if it is allowed)."""
        return tuple(g for g in self.guards if g.decision == self.decision)

    @property
    def reason(self) -> str:
        if self.decision is Decision.ALLOW:
            return "every guard allows it"
        return "; ".join(f"{g.guard}: {g.reason}" for g in self.deciding)

    @property
    def retry_after(self) -> float | None:
        """Seconds after which asking again can give another answer; None: it can't."""
        waits = [g.retry_after for g in self.deciding]
        known = [w for w in waits if w is not None]
        return max(known) if waits and len(known) == len(waits) else None


class Purpose(StrEnum):
    """Why something is asked for. Recoveries (RETURN, UNDO) may pass where treatments may not: a
    kill switch that held traffic away from healed replicas would be a fault of its own."""

    CONTAIN = "contain"
    TREAT = "treat"
    RETURN = "return"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Request:
    """What the healing workflow asks the gate for. ``rung`` counts the remedies of one workflow in
    the order in which they are asked for, ``attempt`` how often this one was asked for."""

    purpose: Purpose
    incident: str
    epoch: int
    rung: int
    attempt: int
    remedy: Remedy
    cause: Cause
    tier: Tier

    @property
    def token(self) -> str:
        """Names this effect and no other: ``incident:epoch:rung:attempt``."""
        return f"{self.incident}:{self.epoch}:{self.rung}:{self.attempt}"


# --- remediation: what is done --------------------------------------------------------------------


class IntentState(StrEnum):
    REFUSED = "refused"  # the gate said no (or: ask)
    SHADOW = "shadow"  # allowed, but the mode touches nothing
    WRITTEN = "written"  # allowed and written down; not begun
    ACTING = "acting"  # handed to the world; after a crash: unknown, so verify and never repeat
    APPLIED = "applied"  # the world confirmed it
    FAILED = "failed"  # the world refused it
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Check:
    """What verification will look at, frozen before the action so that nobody moves the goal.

    The subject is healthy when, since ``acted_at``, at least ``min_probes`` probes in a row are
    good over at least ``hold`` seconds, none slower than ``max_time_to_first_token`` (None: no
    bound is known), and callers' attempts, if any reach it, fail no more than
    ``max_failed_share``.
    """

    subject: Subject
    min_probes: int
    hold: float
    timeout: float
    max_time_to_first_token: float | None = None
    max_failed_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Intent:
    """An action as written down before it is done, with the ruling that let it pass."""

    request: Request
    ruling: Ruling
    state: IntentState
    check: Check
    created_at: float
    acted_at: float | None = None
    finished_at: float | None = None
    note: str = ""

    @property
    def token(self) -> str:
        return self.request.token


class Aspect(StrEnum):
    """What an override changes of a replica, compared with the stack as declared."""

    HEALTH = "health"  # "unhealthy" (no traffic) | "draining" (no new traffic)
    WEIGHT = "weight"  # share of its normal traffic, "0.25"
    MEMBER = "member"  # an added replica: its address; "" removes a declared one


@dataclass(frozen=True, slots=True)
class Override:
    """One row of desired state on top of the stack as declared. Undo removes the row."""

    subject: Subject
    aspect: Aspect
    value: str
    incident: str
    created_at: float
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica as the gateway shall treat it."""

    replica: str
    address: str  # http://host:port
    health: str = "healthy"  # healthy | unhealthy | draining
    share: float = 1.0  # of the traffic a full member gets


Traffic = Mapping[str, tuple[Endpoint, ...]]  # component -> endpoints: the gateway's desired state


# --- verification: did it heal? -------------------------------------------------------------------


class Outcome(StrEnum):
    HEALED = "healed"
    UNCHANGED = "unchanged"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"  # too little was seen: never taken for healed


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    sentence: str
    at: float
    numbers: Mapping[str, float] = field(default_factory=_no_numbers)


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of a subject since a moment: the input of verification."""

    since: float
    until: float
    probes_ok_in_a_row: int = 0
    ok_since: float | None = None  # when the present row of good probes began
    probes_failed: int = 0
    last_failure: Failure | None = None
    time_to_first_token: float | None = None  # median of the good probes in the present row
    attempts: int = 0
    attempts_failed: int = 0
