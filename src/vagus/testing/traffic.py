"""Evidence as a real stack would give it, made up: seeded, and as fast as it can be counted.

Detectors are easily tested with what they were built for, one symptom at a time on a quiet line.
What breaks them in the field is everything else: bursts, queues, a machine on which all are slow at
once, rows that arrive late and in lumps. So this is a small queueing model. Requests arrive in
bursts, whether or not earlier ones were answered; a gateway sends each to the less busy of two
replicas and writes its log, flushed every 0.1 s, with a report every second of what lasts; replicas
have slots and a queue, and share one machine; probes stand in the same queue as requests do.

:class:`Stack` is what happens; :func:`watch` lets a detector look at it.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf

from vagus.detection.defaults import RUNNING, STEPS, WAITING
from vagus.detection.reflexes import Reflexes
from vagus.model import Attempt, Evidence, Failure, Finding, Phase, Probe, Scrape, Subject
from vagus.topology import Topology

REPORT_S = 1.0
FLUSH_S = 0.1
STEP_S = 0.05
SAYING = "The capital of France is Paris, and the river that runs through it is the Seine."


@dataclass(frozen=True)
class Load:
    """Arrivals and what one of them asks for. ``burst``: how many come at a time, on average."""

    rate: float
    first_s: float  # seconds to the first token of an idle replica (median)
    token_s: float
    tokens: float  # on average
    spread: float = 0.5  # sigma of the logarithm of the time to the first token
    burst: float = 1.0
    slots: int = 64
    cores: float = inf  # beyond so many at work everything slows down in proportion
    probe_tokens: int = 8
    probe_first_s: float = 0.02  # a probe is short, and always the same


LIGHT = Load(rate=50.0, first_s=0.02, token_s=0.004, tokens=10, spread=0.3)
"""Light streaming upstreams: the machine isn't the limit."""
LLM = Load(
    rate=1.2, first_s=0.15, token_s=0.012, tokens=32, spread=0.6, burst=1.6, slots=2, cores=2.0
)
"""A small model on two cores, long prompts among short ones: first tokens after 0.2 s at the
median, 0.7 s at the 95th percentile."""
STORM = replace(LLM, rate=1.5, tokens=48, burst=2.5)
"""The same when callers come in groups: queues everywhere, first tokens after 5 s and more."""


@dataclass
class Fault:
    """What is wrong with a replica from ``at`` to ``until``."""

    kind: str  # slow, slow-tokens, pause, hang, refuse, http-500, garbage, cut, nonsense
    at: float
    until: float = inf
    factor: float = 10.0
    share: float = 1.0  # of the requests that meet it


@dataclass(frozen=True)
class Weather:
    """For a time everything on the machine is slower by ``factor``."""

    at: float
    until: float
    factor: float


@dataclass
class _Job:
    id: str
    subject: Subject
    started_at: float
    first_at: float
    end_at: float
    size: int
    failure: Failure | None = None
    status: int = 200
    content_type: str = "text/event-stream"

    def bytes_at(self, at: float) -> int:
        if at < self.first_at or self.first_at == inf:
            return 0
        if self.end_at <= self.first_at:
            return self.size
        return max(
            1, int(self.size * min(1.0, (at - self.first_at) / (self.end_at - self.first_at)))
        )


@dataclass
class _Machine:
    """One replica's slots and what is wrong with it."""

    subject: Subject
    free_at: list[float]
    faults: list[Fault] = field(default_factory=list)
    in_flight: int = 0
    work: list[tuple[float, float]] = field(default_factory=list)  # from when until when
    steps: float = 0.0

    def fault(self, at: float) -> Fault | None:
        return next((f for f in self.faults if f.at <= at < f.until), None)


class Stack:
    """A component of replicas under load, from ``start`` on."""

    def __init__(
        self,
        topology: Topology,
        component: str,
        load: Load,
        *,
        seed: int,
        start: float = 0.0,
        faults: Sequence[tuple[str, Fault]] = (),
        weather: Sequence[Weather] = (),
    ) -> None:
        self.load = load
        self._weather = weather
        self.now = start
        self.requests = 0
        self.bad_requests = 0  # that met a fault
        self._random = random.Random(seed)
        node = topology.components[component]
        self.machines = {
            Subject(component, name): _Machine(Subject(component, name), [start] * load.slots)
            for name in node.replicas
        }
        for replica, fault in faults:
            self.machines[Subject(component, replica)].faults.append(fault)
        self.ejected: set[Subject] = set()
        self._events: list[tuple[float, int, Callable[[], Evidence | None]]] = []
        self._sequence = 0
        self._written: list[tuple[float, int, Evidence]] = []  # until the log is flushed
        self._busy: list[tuple[float, float]] = []  # from when until when somebody is at work
        self._plan(self._next_arrival(), self._arrive)
        for subject in self.machines:
            self._plan(start + self._random.random(), partial(self._scrape, subject))

    def advance(self, to: float) -> list[Evidence]:
        """What has become visible by ``to``."""
        while self._events and self._events[0][0] <= to:
            at, _, event = heapq.heappop(self._events)
            self.now = at
            evidence = event()
            if evidence is not None:
                seen_at = at
                if isinstance(evidence, Attempt):
                    seen_at = (int(at / FLUSH_S) + 1) * FLUSH_S
                heapq.heappush(self._written, (seen_at, self._next(), evidence))
        self.now = to
        seen: list[Evidence] = []
        while self._written and self._written[0][0] <= to:
            seen.append(heapq.heappop(self._written)[-1])
        return seen

    # --- requests

    def _next_arrival(self) -> float:
        return self.now + self._random.expovariate(self.load.rate / self.load.burst)

    def _arrive(self) -> None:
        self._plan(self._next_arrival(), self._arrive)
        group = 1
        while self._random.random() < 1 - 1 / self.load.burst:
            group += 1
        for _ in range(group):
            there = [m for s, m in self.machines.items() if s not in self.ejected]
            two = self._random.sample(there, min(2, len(there)))
            self._send(min(two, key=lambda m: m.in_flight))

    def _send(self, machine: _Machine) -> None:
        self.requests += 1
        tokens = 1 + self._random.expovariate(1 / self.load.tokens)
        first = self.load.first_s * self._random.lognormvariate(0, self.load.spread)
        job = self._serve(machine, f"r{self.requests}", first, tokens)
        machine.in_flight += 1
        self._plan(self.now, lambda: self._row(job, Phase.STARTED))
        self._report(job)
        if job.end_at < inf:
            self._plan(job.end_at, lambda: self._end(machine, job))

    def _serve(self, machine: _Machine, name: str, first: float, tokens: float) -> _Job:
        """Put one request into the queue of ``machine``; what becomes of it is known at once."""
        now, load = self.now, self.load
        fault = machine.fault(now)
        if fault is not None and self._random.random() >= fault.share:
            fault = None
        if fault is not None:
            self.bad_requests += 1
            at_once = self._at_once(machine, name, fault)
            if at_once is not None:
                return at_once
        self._busy = [(begin, end) for begin, end in self._busy if end > now]
        at_work = sum(begin <= now for begin, _ in self._busy)
        crowd = max(1.0, (at_work + 1) / load.cores)
        for weather in self._weather:
            crowd *= weather.factor if weather.at <= now < weather.until else 1.0
        begin = max(now, heapq.heappop(machine.free_at))
        if fault is not None and fault.kind == "pause":
            begin = max(begin, fault.until)
        first *= crowd
        stream = tokens * load.token_s * crowd
        end = begin + first + stream
        heapq.heappush(machine.free_at, end)
        self._busy.append((begin, end))
        machine.work = [(b, e) for b, e in machine.work if e > now] + [(begin, end)]
        machine.steps += tokens
        first_at = begin + first
        if fault is not None and fault.kind == "slow":
            first_at = now + (first_at - now) * fault.factor
            end = now + (end - now) * fault.factor
        elif fault is not None and fault.kind == "slow-tokens":
            end = first_at + stream * fault.factor
        job = _Job(name, machine.subject, now, first_at, end, int(40 * tokens))
        if fault is not None and fault.kind == "cut":
            job.end_at = first_at + 0.3 * (end - first_at)
            job.size, job.failure = int(job.size * 0.3), Failure.TRUNCATED
        hang = next((f for f in machine.faults if f.kind == "hang" and now <= f.at < end), None)
        if hang is not None and hang.share == 1.0:
            job.size = job.bytes_at(hang.at)
            job.first_at = first_at if first_at < hang.at else inf
            job.end_at = inf
        return job

    def _at_once(self, machine: _Machine, name: str, fault: Fault) -> _Job | None:
        now, s = self.now, machine.subject
        if fault.kind == "hang":
            return _Job(name, s, now, inf, inf, 0)
        if fault.kind == "refuse":
            return _Job(name, s, now, inf, now + 0.001, 0, Failure.REFUSED, 503)
        if fault.kind == "http-500":
            json = "application/json"
            return _Job(name, s, now, now, now + 0.003, 60, Failure.SERVER_ERROR, 500, json)
        if fault.kind == "garbage":
            return _Job(name, s, now, now, now + 0.003, 90, content_type="text/html")
        return None

    def _report(self, job: _Job) -> None:
        at = self.now + REPORT_S
        if at < job.end_at:
            self._plan(at, lambda: self._reported(job))

    def _reported(self, job: _Job) -> Evidence:
        self._report(job)
        return self._row(job, Phase.STREAMING)

    def _end(self, machine: _Machine, job: _Job) -> Evidence:
        machine.in_flight -= 1
        return self._row(job, Phase.ENDED)

    def _row(self, job: _Job, phase: Phase) -> Attempt:
        ended = phase is Phase.ENDED
        answered = ended and job.first_at < inf
        return Attempt(
            subject=job.subject,
            id=job.id,
            phase=phase,
            at=self.now,
            started_at=job.started_at,
            failure=job.failure if ended else None,
            status=job.status if ended else None,
            time_to_first_token=job.first_at - job.started_at if answered else None,
            duration=self.now - job.started_at,
            received_bytes=job.size if ended else job.bytes_at(self.now),
            content_type=job.content_type if answered else "",
            path="/v1/chat/completions",
        )

    # --- scrapes and probes

    def _scrape(self, subject: Subject) -> Scrape:
        self._plan(self.now + 1.0, lambda: self._scrape(subject))
        machine = self.machines[subject]
        fault = machine.fault(self.now)
        if fault is not None and fault.kind == "refuse":
            return Scrape(subject, self.now, Failure.REFUSED)
        if fault is not None and fault.kind == "hang":
            return Scrape(subject, self.now, Failure.TIMEOUT)
        now = self.now
        values = {
            RUNNING: float(sum(begin <= now < end for begin, end in machine.work)),
            WAITING: float(sum(begin > now for begin, _ in machine.work)),
            STEPS: machine.steps,
        }
        return Scrape(subject, now, None, values)

    def probe(self, subject: Subject, timeout: float = 2.0) -> None:
        """Ask ``subject``; the answer becomes visible when it ends."""
        machine = self.machines[subject]
        before = self.bad_requests
        first = self.load.probe_first_s * self._random.lognormvariate(0, 0.1)
        job = self._serve(machine, "probe", first, self.load.probe_tokens)
        self.bad_requests = before
        asked = self.now
        failure = job.failure
        if job.content_type == "text/html":
            failure = Failure.WRONG_TYPE
        end = min(job.end_at, asked + timeout)
        if job.end_at > end:
            failure = Failure.TIMEOUT
        fault = machine.fault(asked)
        noise = "".join(self._random.choice("abcdefghijklmnop ") for _ in SAYING)
        answer = noise if fault is not None and fault.kind == "nonsense" else SAYING
        self._plan(
            end,
            lambda: Probe(
                subject,
                self.now,
                failure,
                time_to_first_token=None if failure else job.first_at - asked,
                time_per_token=(None if failure else (end - job.first_at) / self.load.probe_tokens),
                duration=end - asked,
                answer="" if failure else answer,
            ),
        )

    def _plan(self, at: float, event: Callable[[], Evidence | None]) -> None:
        heapq.heappush(self._events, (at, self._next(), event))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence


def watch(
    stack: Stack,
    reflexes: Reflexes,
    until: float,
    *,
    probe_every: float = 10.0,
    probe_suspects_every: float = 0.5,
) -> Iterator[tuple[float, Finding]]:
    """Let ``reflexes`` look every 50 ms, probe whom they suspect, and yield what they say, when."""
    due = dict.fromkeys(stack.machines, stack.now)
    now = stack.now
    while now < until:
        now += STEP_S
        batch = stack.advance(now)
        for evidence in batch:
            if isinstance(evidence, Probe):
                due[evidence.subject] = evidence.at + probe_every
        reflexes.observe(batch)
        for finding in reflexes.evaluate(now):
            yield now, finding
        suspects = reflexes.suspects()
        for subject, at in due.items():
            soon = at - probe_every + probe_suspects_every if subject in suspects else at
            if now >= soon:
                due[subject] = inf  # until this probe has ended
                stack.probe(subject)
