"""The protocols through which the steps reach the world, all on one page.

Steps know these and nothing else of the outside; ``adapters/`` and ``state/`` implement them and
``app.py`` chooses. Whatever does I/O to the stack is ``async`` and runs on the one event loop;
whatever reads or writes our own tables is synchronous and short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from vagus.model import (
    Answer,
    Aspect,
    Cause,
    Check,
    Document,
    Endpoint,
    Evidence,
    Finding,
    Incident,
    IncidentState,
    Injection,
    Intent,
    IntentState,
    Licence,
    Observed,
    Override,
    Probe,
    Proposal,
    ProposalState,
    Query,
    Request,
    Retrieval,
    Rollout,
    Ruling,
    Stop,
    Subject,
    TrackRecord,
    Traffic,
    Trial,
    Vector,
)

Emit = Callable[[Sequence[Evidence]], None]
"""Hands a batch of evidence to the loop: never blocks; called on the event loop's thread."""


# --- the stack --------------------------------------------------------------------------------


class Source(Protocol):
    """Something that yields evidence until it is cancelled. It survives whatever its targets do:
    a failure of one is evidence (or a counted rejection), never the end of the source."""

    name: str

    async def run(self, emit: Emit) -> None: ...


class Prober(Protocol):
    """Asks one replica a small question, directly. Failures are in the answer, never raised."""

    async def probe(self, subject: Subject) -> Probe: ...


class Gateway(Protocol):
    """The data plane: it is given the whole desired state and reconciles to it."""

    async def apply(self, traffic: Traffic, operation: str) -> None:
        """Put ``traffic`` in force and return once the data plane has acknowledged ``operation``.

        Raises :class:`~vagus.errors.NotAcknowledged` when it did not say so in time.
        """
        ...

    async def ejected(self) -> frozenset[Subject]:
        """Replicas that the data plane itself keeps out of traffic now (its own health checks or
        outlier detection), whatever we asked for: they count against our floor."""
        ...


class Runtime(Protocol):
    """Who can start and stop the processes of a component. Calls are idempotent by ``token``."""

    async def restart(self, subject: Subject, token: str) -> None: ...

    async def deploy(self, subject: Subject, version: str, token: str) -> None:
        """Restart it, and from now on as ``version``."""
        ...

    async def version(self, subject: Subject) -> str:
        """What it runs; ``""`` where versions are not told apart."""
        ...

    async def add(self, component: str, token: str) -> Endpoint:
        """Start one more replica and say where it is."""
        ...

    async def remove(self, subject: Subject, token: str) -> None: ...

    async def replicas(self, component: str) -> Mapping[str, str]:
        """Name -> address of every replica that exists now."""
        ...


class RetrievalProbe(Protocol):
    """Looks into the collections of one store."""

    async def documents(self, subject: Subject, count: int) -> Sequence[Document]:
        """Up to ``count`` of those it holds now, by chance: what is asked for there.

        Raises :class:`~vagus.errors.SourceError`.
        """
        ...

    async def search(self, subject: Subject, query: Query, k: int) -> Retrieval:
        """The ``k`` nearest to ``query``, as callers get them and exactly, of the same rows, past
        every cache. Failures are in the answer, never raised."""
        ...


class Embedder(Protocol):
    """Turns text into a vector, as callers' queries are."""

    async def embed(self, component: str, text: str) -> Vector | None:
        """By any replica of ``component`` that answers; None if none does."""
        ...


class IndexKeeper(Protocol):
    """Mends the index of a collection while the store goes on serving. What takes long goes on by
    itself: it is ordered, and looked after by asking. All raise
    :class:`~vagus.errors.ActionError`."""

    async def rebuild(self, subject: Subject, token: str) -> None:
        """Begin to build the index anew beside the present one, which is kept, aside, once the new
        one has taken its place. What a rebuild that was cut off left behind is removed first."""
        ...

    async def rebuilt(self, subject: Subject, token: str) -> bool:
        """Whether the index that serves is the one built under ``token``. A building that was
        completed by a process that then died is put in place by asking.

        Raises :class:`~vagus.errors.UnderWay` while it is being built."""
        ...

    async def put_back(self, subject: Subject, token: str) -> None:
        """The index that was kept serves again, and the one built under ``token`` is gone."""
        ...

    async def let_go(self, subject: Subject, token: str) -> None:
        """The index that was kept is not needed any more. Doing so again does nothing."""
        ...

    async def vacuum(self, subject: Subject, token: str) -> None:
        """Begin to clean up what deleted rows left in the table and its indexes."""
        ...

    async def vacuumed(self, subject: Subject, token: str) -> bool | None:
        """Whether it was cleaned up under ``token``; None: nobody knows any more.

        Raises :class:`~vagus.errors.UnderWay` meanwhile."""
        ...


# --- what we keep -----------------------------------------------------------------------------


class Memory(Protocol):
    """What was recently seen, for verification: the telemetry store's short memory."""

    def observed(self, subject: Subject, since: float) -> Observed: ...

    def typical_time_to_first_token(self, component: str, except_for: str) -> float | None:
        """Median over the siblings of ``except_for``'s probes, or None while unknown."""
        ...


class Incidents(Protocol):
    """The truth about incidents and findings. Every transition is compare-and-set on ``version``
    and raises :class:`~vagus.errors.Conflict` when somebody else was first."""

    def open(self, subject: Subject, cause: Cause, findings: Sequence[Finding]) -> Incident: ...

    def get(self, incident_id: str) -> Incident: ...

    def active(self, component: str = "") -> Sequence[Incident]:
        """Those that are not over (open, escalated, shadowed), most urgent first: of one component,
        or of all."""
        ...

    def recent(self, limit: int, *, before: str | None = None) -> Sequence[Incident]:
        """The newest ones in whatever state, newest first; with ``before``, those that follow the
        incident of this id. Raises :class:`~vagus.errors.NotFound` if there is none."""
        ...

    def update(
        self,
        incident: Incident,
        *,
        state: IncidentState | None = None,
        cause: Cause | None = None,
        activity: str | None = None,
        note: str | None = None,
        retry_at: float | None = None,
        new_epoch: bool = False,
    ) -> Incident: ...

    def record_findings(self, incident_id: str, findings: Iterable[Finding]) -> None:
        """Insert or update findings by key; a finding with ``closed_at`` is closed."""
        ...

    def open_findings(self, component: str = "") -> Mapping[str, Sequence[Finding]]:
        """By incident: what is open of the active incidents of a component, or of all."""
        ...

    def findings(self, incident_id: str, *, open_only: bool = False) -> Sequence[Finding]: ...


class Intents(Protocol):
    """Actions as written down before they are done."""

    def decide(
        self,
        request: Request,
        check: Check,
        judge: Callable[[], Ruling],
        *,
        shadow: bool,
    ) -> Intent:
        """Call ``judge`` and write the intent in one transaction that locks the scope. A token that
        is there already is returned as it stands: it was decided before."""
        ...

    def get(self, token: str) -> Intent | None: ...

    def begin(self, token: str) -> bool:
        """WRITTEN -> ACTING. False: it had begun before (its outcome is unknown), do not repeat."""
        ...

    def finish(self, token: str, state: IntentState, note: str = "") -> Intent: ...

    def of_incident(self, incident_id: str) -> Sequence[Intent]:
        """Everything that was asked for in an incident, oldest first."""
        ...

    def unfinished(self, component: str) -> Sequence[Intent]:
        """Written or acting: they count as used capacity and budget."""
        ...

    def since(self, at: float, component: str) -> Sequence[Intent]:
        """Everything written after ``at``, oldest first."""
        ...


class Overrides(Protocol):
    """Desired traffic on top of the stack as declared."""

    def put(self, override: Override) -> None:
        """Insert, or replace the row of the same subject, aspect and incident."""
        ...

    def drop(self, incident: str, subject: Subject, aspect: Aspect | None = None) -> None: ...

    def all(self, component: str = "") -> Sequence[Override]:
        """Of one component, or of all."""
        ...


class Ledger(Protocol):
    """Append-only and hash-chained. Unique by (workflow, step, event): appending is idempotent."""

    def append(
        self, workflow: str, step: str, event: str, facts: Mapping[str, object] | None = None
    ) -> None: ...


class Leases(Protocol):
    """At most one owner of a target at a time, with a fencing token that only grows."""

    def acquire(self, target: Subject, owner: str, ttl: float) -> int | None:
        """The fencing token, or None while somebody else holds it."""
        ...

    def holds(self, target: Subject, owner: str, fencing: int) -> bool: ...

    def release(self, target: Subject, owner: str, fencing: int | None = None) -> None:
        """Let go of it, if ``owner`` holds it: under this very token, or under any (None)."""
        ...


# --- governance: what people decide, and what was earned ------------------------------------------


class Proposals(Protocol):
    """Requests that wait for people. An answer is taken once a person, and only while it waits."""

    def open(self, proposal: Proposal) -> Proposal:
        """Write it down; one of this id that is there already is returned as it stands."""
        ...

    def get(self, proposal_id: str) -> Proposal | None: ...

    def answer(
        self,
        proposal_id: str,
        answer: Answer,
        tally: Callable[[Proposal], ProposalState],
    ) -> Proposal:
        """Add ``answer`` and let ``tally`` say what the proposal, with it, has become; one
        transaction. Saying the same again is one answer.

        Raises :class:`~vagus.errors.Conflict` if it no longer waits, or this person said otherwise,
        and :class:`~vagus.errors.NotFound` if there is none of this id.
        """
        ...

    def close(self, proposal_id: str, state: ProposalState, note: str = "") -> Proposal:
        """EXPIRED or VOID, unless people were faster (a yes that was not acted upon can still
        become void): the proposal as it is now."""
        ...

    def waiting(self) -> Sequence[Proposal]:
        """Those that are OPEN, oldest first."""
        ...

    def recent(self, limit: int, *, before: float | None = None) -> Sequence[Proposal]: ...

    def of_rung(self, incident: str, epoch: int, rung: int) -> Sequence[Proposal]:
        """Every proposal for this rung, whatever became of it, oldest first."""
        ...


class Trials(Protocol):
    """How remedies fared: every verified outcome, once."""

    def record(self, trial: Trial) -> bool:
        """False: it was recorded before."""
        ...

    def track_record(
        self, action: str, fault: str, component: str, environment: str
    ) -> TrackRecord:
        """Pooled over the replicas of ``component``; an empty ``fault`` pools all faults."""
        ...

    def all(self, limit: int = 1000) -> Sequence[Trial]:
        """Newest first."""
        ...


class Licences(Protocol):
    def issue(self, licence: Licence) -> Licence:
        """Write it down; one of this id that is there already is returned as it stands."""
        ...

    def valid(self, now: float) -> Sequence[Licence]: ...

    def all(self) -> Sequence[Licence]: ...

    def revoke(self, licence_id: str, because: str) -> Licence:
        """Raises :class:`~vagus.errors.StateError` if there is none; revoking twice is once."""
        ...


class Rollouts(Protocol):
    """Deployments that Vagus was told of."""

    def start(self, rollout: Rollout) -> Rollout:
        """Raises :class:`~vagus.errors.Conflict` while another one of the component is under way;
        one of this id that is there already is returned as it stands."""
        ...

    def finish(self, rollout_id: str, verdict: str) -> Rollout:
        """Finishing twice is once: the first verdict stands."""
        ...

    def get(self, rollout_id: str) -> Rollout | None: ...

    def latest(self) -> Mapping[str, Rollout]:
        """The newest of each component, under way or not."""
        ...


class Injections(Protocol):
    """Faults that experiments were let put in."""

    def decide(self, injection: Injection, judge: Callable[[], Ruling]) -> Ruling:
        """Ask ``judge``, and write the injection down if it is allowed: one transaction."""
        ...

    def end(self, injection_id: str, verdict: str, note: str) -> Injection:
        """Ending twice is once. Raises :class:`~vagus.errors.NotFound` if there is none."""
        ...

    def get(self, injection_id: str) -> Injection | None: ...

    def open(self, now: float) -> Sequence[Injection]:
        """Those that are in, or may be."""
        ...

    def since(self, at: float) -> Sequence[Injection]:
        """All that were let in after ``at``, oldest first."""
        ...


class Controls(Protocol):
    """What people set while Vagus runs, outside of the configuration: every process of a state
    sees it, and it outlives them all."""

    def stop(self) -> Stop | None: ...

    def set_stop(self, stop: Stop) -> None: ...

    def clear_stop(self, by: str) -> None: ...

    def mode(self) -> str | None:
        """The mode that a person chose over the configuration's, or None."""
        ...

    def set_mode(self, mode: str | None, by: str, reason: str) -> None: ...
