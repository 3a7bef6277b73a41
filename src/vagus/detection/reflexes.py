"""The hard reflexes: evidence in, findings out, as soon as it arrives.

A batch touches the replicas that it names and no others; only they are looked at again, and those
for whom time itself is evidence: work in flight that may be standing still, a suspicion, an open
finding. A look runs the rules of ``symptoms/`` over a bounded memory, and costs some tens of
microseconds a replica, so that it can be afforded after every batch.

``forget`` may be called from any thread (the healing workflow runs on others): it only leaves a
note that the next look acts on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from vagus.config import Kind
from vagus.detection import defaults, reference
from vagus.detection.health import health
from vagus.detection.memory import SYMPTOM_OF, ReplicaMemory, sane
from vagus.detection.reading import Peers, Reading, Rule, State
from vagus.detection.reference import References
from vagus.detection.register import Register
from vagus.detection.shape import misshapen
from vagus.detection.symptoms.failing import failing
from vagus.detection.symptoms.hung import hung_at_gateway, hung_inside
from vagus.detection.symptoms.nonsense import nonsense
from vagus.detection.symptoms.probed import probed
from vagus.detection.symptoms.scraped import scraped
from vagus.detection.symptoms.slow import slow_at_gateway
from vagus.detection.symptoms.slow_probes import slow_at_probes
from vagus.model import Attempt, Evidence, Finding, Phase, Probe, Scrape, Subject, Symptom
from vagus.topology import Topology

RULES: tuple[Rule, ...] = (
    failing,
    hung_at_gateway,
    slow_at_gateway,
    probed,
    slow_at_probes,
    nonsense,
    scraped,
    hung_inside,
)
_NEEDS_CONTROLS = frozenset({Symptom.SLOW, Symptom.NONSENSE})


class Reflexes:
    """Findings of every replica in ``topology()``; evidence of anything else is ignored."""

    def __init__(self, topology: Callable[[], Topology]) -> None:
        self._topology = topology
        self._known: Topology | None = None
        self._replicas: dict[Subject, ReplicaMemory] = {}
        self._references = References()
        self._register = Register()
        self._touched: set[Subject] = set()
        self._suspected: dict[Subject, frozenset[Symptom]] = {}
        self._forgotten: deque[tuple[Subject, float | None]] = deque()
        self._left: set[Subject] = set()
        self._log_at = float("-inf")
        self._now = float("-inf")

    # --- in ---------------------------------------------------------------------------------------

    def observe(self, batch: Sequence[Evidence]) -> None:
        """Remember ``batch``; nothing is judged before :meth:`evaluate`."""
        self._follow_topology()
        for evidence in batch:
            replica = self._replicas.get(evidence.subject)
            if replica is None or not sane(evidence.at):
                continue
            if isinstance(evidence, Attempt):
                self._note_attempt(replica, evidence)
            elif isinstance(evidence, Probe):
                replica.note_probe(evidence)
            elif isinstance(evidence, Scrape):
                replica.note_scrape(evidence)
            self._touched.add(evidence.subject)

    def forget(self, subject: Subject, at: float | None = None) -> None:
        """``subject`` is another process since ``at`` (now): what was seen of the old one, and what
        was found of it, holds no longer. Rows of attempts that began before are ignored."""
        self._forgotten.append((subject, at))

    def _note_attempt(self, replica: ReplicaMemory, row: Attempt) -> None:
        if not sane(row.started_at, row.duration, row.time_to_first_token or 0.0):
            return
        self._log_at = max(self._log_at, row.at)
        symptom, detail = None, ""
        if row.phase is Phase.ENDED:
            if row.failure is not None:
                symptom = SYMPTOM_OF[row.failure]
                status = f"HTTP {row.status}" if row.status and row.status >= 400 else ""
                detail = status or row.content_type or str(row.failure)
            else:
                detail = misshapen(row, self._kind_of(replica.subject))
                symptom = Symptom.WRONG_SHAPE if detail else None
        replica.note_attempt(row, symptom, detail)

    # --- out --------------------------------------------------------------------------------------

    def evaluate(self, now: float) -> Sequence[Finding]:
        """Findings opened, materially changed or closed since the last call."""
        self._follow_topology()
        self._now = now
        changes = [*self._act_on_forgotten(now), *self._act_on_left(now)]
        due = self._touched | self._suspected.keys() | set(self._register.subjects())
        due.update(s for s, replica in self._replicas.items() if replica.in_flight)
        self._touched = set()
        for subject in sorted(due & self._replicas.keys()):
            changes.extend(self._look(self._replicas[subject], now))
        return changes

    def open_findings(self) -> Sequence[Finding]:
        return self._register.all()

    def suspects(self, *, with_controls: bool = True) -> frozenset[Subject]:
        """Who is to be probed frequently now: replicas with a finding or a first piece of evidence,
        and, as controls where it takes a comparison (slow, nonsense), siblings not asked lately.
        Missing metrics alone arouse no suspicion: there are servers that have none."""
        suspects = {f.subject for f in self._register.all() if f.symptom is not Symptom.SILENT}
        suspects |= self._suspected.keys()
        return frozenset(suspects | self._controls() if with_controls else suspects)

    def _controls(self) -> set[Subject]:
        compared = (s for s, symptoms in self._suspected.items() if symptoms & _NEEDS_CONTROLS)
        return {
            sibling.subject
            for subject in compared
            for sibling in self._siblings(subject)
            if not sibling.probes or self._now - sibling.probes[-1].at >= defaults.CONTROL_AGE_S
        }

    def _look(self, replica: ReplicaMemory, now: float) -> Iterator[Finding]:
        replica.drop_lost(min(now, self._log_at))
        peers = self._peers(replica, now)
        suspected: set[Symptom] = set()
        for reading in self._readings(replica, peers, now):
            if reading.state is not State.GOOD and reading.symptom is not Symptom.SILENT:
                suspected.add(reading.symptom)
            changed = self._register.apply(replica.subject, reading, now)
            if changed is None:
                continue
            if changed.closed_at is not None and reading.since is not None:
                replica.settle(reading.sense, reading.since)
            yield changed
        replica.found = set(self._register.of(replica.subject))
        if suspected:
            self._suspected[replica.subject] = frozenset(suspected)
        else:
            self._suspected.pop(replica.subject, None)

    def _readings(self, replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]:
        for rule in RULES:
            yield from rule(replica, peers, now)
        yield from health(replica, peers, now)

    def _peers(self, replica: ReplicaMemory, now: float) -> Peers:
        siblings = self._siblings(replica.subject)
        known = [r for s in siblings if not s.ill and (r := self._references.of(s, now))]
        return Peers(
            kind=self._kind_of(replica.subject),
            siblings=siblings,
            reference=reference.of_siblings(known),
            log_at=self._log_at,
        )

    # --- the stack --------------------------------------------------------------------------------

    def _follow_topology(self) -> None:
        topology = self._topology()
        if topology is self._known:
            return
        self._known = topology
        members = set(topology.replicas())
        for subject in self._replicas.keys() - members:
            del self._replicas[subject]
            self._left.add(subject)
        for subject in members - self._replicas.keys():
            self._replicas[subject] = ReplicaMemory(subject)

    def _kind_of(self, subject: Subject) -> Kind | None:
        node = self._known.components.get(subject.component) if self._known is not None else None
        return node.kind if node is not None else None

    def _siblings(self, subject: Subject) -> tuple[ReplicaMemory, ...]:
        names = self._known.siblings(subject) if self._known is not None else ()
        return tuple(self._replicas[name] for name in names if name in self._replicas)

    def _act_on_forgotten(self, now: float) -> Iterator[Finding]:
        while self._forgotten:
            subject, at = self._forgotten.popleft()
            replica = self._replicas.get(subject)
            if replica is not None:
                replica.forget(now if at is None else at)
                yield from self._end(subject, now)
                replica.found = set()

    def _act_on_left(self, now: float) -> Iterator[Finding]:
        for subject in sorted(self._left):
            yield from self._end(subject, now)
            self._references.drop(subject)
        self._left.clear()

    def _end(self, subject: Subject, now: float) -> Iterator[Finding]:
        self._suspected.pop(subject, None)
        yield from self._register.close_all(subject, now)
