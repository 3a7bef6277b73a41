"""Governance: who may decide, what they are asked, and what a remedy has shown so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from math import ceil
from types import MappingProxyType

from vagus.model.confidence import lower_bound
from vagus.model.plan import Tier
from vagus.model.ruling import VAGUS, Ask, Request
from vagus.model.subject import Subject
from vagus.model.verdict import Outcome


class Role(IntEnum):
    """What a token may do; each role may do what those before it may."""

    VIEWER = 1  # read
    OPERATOR = 2  # set the kill switch, lower the mode, tell of deployments, propose
    APPROVER = 3  # answer proposals
    ADMIN = 4  # raise the mode, grant and revoke licences, make tokens


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was recognised by a token."""

    name: str
    role: Role


# --- proposals ------------------------------------------------------------------------------------


class ProposalState(StrEnum):
    OPEN = "open"  # it waits for people
    APPROVED = "approved"  # they said yes; it goes through the gate once more
    DENIED = "denied"
    EXPIRED = "expired"  # nobody answered in time, which means no
    VOID = "void"  # the world moved: what was asked about is no longer so


@dataclass(frozen=True, slots=True)
class Answer:
    """One person's yes or no."""

    by: str
    yes: bool
    at: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a person needs to see in order to decide; sentences, ready to be shown."""

    what: str
    why: tuple[str, ...]  # the findings, with their numbers
    cause: str
    confidence: float
    blast_radius: str
    checks: str  # what will be looked at afterwards
    undo: str  # how it is taken back, or why it can't be
    unanswered: str  # what happens if nobody answers
    record: str  # how this remedy fared so far


@dataclass(frozen=True, slots=True)
class Proposal:
    """A request that waits for people. Its id is the request's token."""

    request: Request
    asks: tuple[Ask, ...]
    binding: str
    sheet: Sheet
    created_at: float
    expires_at: float
    state: ProposalState = ProposalState.OPEN
    answers: tuple[Answer, ...] = ()
    decided_at: float | None = None
    note: str = ""

    @property
    def id(self) -> str:
        return self.request.token

    @property
    def proposer(self) -> str:
        return self.request.proposer


# --- what remedies have shown ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trial:
    """One verified outcome of one remedy. ``token`` names the effect, so it counts once."""

    token: str
    at: float
    action: str
    fault: str
    target: Subject
    environment: str
    outcome: Outcome
    took: float  # s from acting to the verdict
    experiment: str = ""  # the chaos experiment that it was part of; "": a real incident


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """What is known of a remedy for a fault on a component. ``bound`` is the rate of success that
    is proven with 95 % confidence (:mod:`vagus.model.confidence`); 0 without trials. ``took_p95``
    is over those that healed."""

    action: str
    fault: str
    component: str
    samples: int = 0
    healed: int = 0
    worse: int = 0
    bound: float = 0.0
    took_p95: float | None = None

    @classmethod
    def of(cls, action: str, fault: str, component: str, trials: Iterable[Trial]) -> TrackRecord:
        """What ``trials``, all of this remedy, show. Inconclusive ones say nothing."""
        said = [trial for trial in trials if trial.outcome is not Outcome.INCONCLUSIVE]
        took = sorted(trial.took for trial in said if trial.outcome is Outcome.HEALED)
        return cls(
            action=action,
            fault=fault,
            component=component,
            samples=len(said),
            healed=len(took),
            worse=sum(trial.outcome is Outcome.WORSE for trial in said),
            bound=lower_bound(len(took), len(said)),
            took_p95=took[ceil(0.95 * len(took)) - 1] if took else None,
        )

    @property
    def at_most(self) -> float:
        """The rate above which the record refutes it, with the same confidence; 1 without one."""
        return 1.0 - lower_bound(self.samples - self.healed, self.samples)

    def __str__(self) -> str:
        if not self.samples:
            return f"{self.action} was never tried for {self.fault} on {self.component}"
        return (
            f"{self.action} healed {self.healed} of {self.samples} times "
            f"(at least {self.bound:.0%} with 95 % confidence)"
        )


PROOF_NEEDED: Mapping[Tier, float] = MappingProxyType({Tier.R1: 0.5, Tier.R2: 0.8})
"""The rate of success that must be proven for a remedy of this tier to hold a licence. R1 needs a
licence only where a rule says so; from R3 on people decide, whatever is proven."""


@dataclass(frozen=True, slots=True)
class Licence:
    """Autonomy that was earned, or granted by hand: this remedy, for this fault, on this component,
    in this environment, until it expires or is revoked. Empty scopes mean *any* only for the fault;
    a component is always named."""

    id: str
    action: str
    component: str
    environment: str
    fault: str = ""
    issued_at: float = 0.0
    expires_at: float = 0.0
    issued_by: str = VAGUS
    reason: str = ""
    samples: int = 0
    bound: float = 0.0
    took_p95: float | None = None
    experiments: tuple[str, ...] = field(default=())
    revoked_at: float | None = None
    revoked_because: str = ""

    def covers(self, action: str, fault: str, component: str, environment: str) -> bool:
        """Whether it speaks of this remedy; not whether it is valid now."""
        return (
            self.action == action
            and self.component == component
            and self.environment == environment
            and self.fault in ("", fault)
        )

    @property
    def manual(self) -> bool:
        """Granted by a person: nothing is proven, somebody vouches for it."""
        return self.issued_by != VAGUS

    def valid(self, now: float) -> bool:
        return self.revoked_at is None and self.issued_at <= now < self.expires_at


@dataclass(frozen=True, slots=True)
class Stop:
    """The kill switch, set: by whom and why."""

    owner: str
    reason: str
    at: float | None = None

    def __str__(self) -> str:
        return f"{self.reason} ({self.owner})" if self.owner else self.reason
