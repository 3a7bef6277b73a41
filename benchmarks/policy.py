"""How long the gate takes to rule on one request, and an approval to become an action.

A restart of one of three replicas is judged by every guard; of the fifty rules, each of three or
four clauses, a few match and none denies, so that all are asked and answered. The facts are there
already: reading them from the state is the state's business. *Rules alone* is what the guard of
rules does, telling them the facts included. The peer is `cel-python`, the same language in pure
Python, on the same fifty conditions. Each call is timed by itself in CPU time of its thread, after
a warm-up.

*Approve to act* is wall-clock time and begins where a person's patience does: when the API has
answered (``approving.py``). What is in between is the message to the workflow, its look at the
proposal, the gate once more and the transaction that begins the intent.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.approving import approve_to_act
from benchmarks.report import Options, Result, Row
from vagus.model import Decision
from vagus.policy.gate import judge
from vagus.policy.guards.rules import rules as ask_rules
from vagus.policy.guards.rules import seen
from vagus.policy.rules import NO_RULES, Rules, parse_rules
from vagus.testing.cases import a_request, some_facts

COUNT = 50
CALLS, QUICK_CALLS = 5000, 500
PEER_CALLS = 100  # it takes tens of milliseconds for each
APPROVALS, QUICK_APPROVALS = 120, 8
MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
SEED = 7

GATE, GATE_WITHOUT, ALONE, PEER, APPROVED = (
    f"gate, {COUNT} rules",
    "gate, no rules",
    f"{COUNT} rules alone",
    f"{COUNT} conditions in cel-python",
    "approve to act",
)
COLUMNS = {"what": "what", "calls": "calls", "median_ms": "median, ms", "p99_ms": "p99, ms"}

_CONDITIONS = (
    "component == 'team-{n}' && (hour >= 22 || hour < 6)",
    "action in ['restart', 'replace'] && confidence > 0.{n:02}",
    "kind == 'vector-store' && blast_radius > 0.{n:02} && purpose == 'treat'",
    "weekday in ['sat', 'sun'] && tier >= 2 && replicas < {n}",
    "replica.startsWith('canary-{n}') || environment == 'staging-{n}'",
    "production && record_samples < {n} && record_bound < 0.5",
    "error_budget_left_known && error_budget_left < 0.{n:02}",
    "fault == 'replica-slow' && date == '2026-12-{n:02}'",
    "proposer != 'vagus' && mode == 'auto' && tier > 1",
    "replica.matches('^chat-[0-9]+$') && replicas > {n}",
)


def conditions(count: int = COUNT) -> list[str]:
    """So many different conditions of the kinds that people write."""
    draw = random.Random(SEED)
    return [
        _CONDITIONS[number % len(_CONDITIONS)].format(n=draw.randrange(10, 29))
        + f" && tier < {number + 3}"
        for number in range(count)
    ]


def run(options: Options) -> Result:
    request, written = a_request(), conditions()
    with_rules, without = some_facts(rules=_rules(written)), some_facts(rules=NO_RULES)
    assert judge(request, with_rules).decision is Decision.ALLOW
    works: dict[str, Callable[[], object]] = {
        GATE: lambda: judge(request, with_rules),
        GATE_WITHOUT: lambda: judge(request, without),
        ALONE: lambda: ask_rules(request, with_rules),
    }
    notes = ["CPU time of one thread; other load on the machine does not count, its caches do"]
    peer = _cel_python(written, seen(request, with_rules).values())
    if peer is None:
        notes.append("cel-python is left out: pip install cel-python")
    else:
        works[PEER] = peer
    calls = QUICK_CALLS if options.quick else CALLS
    took = {
        what: _times(work, PEER_CALLS if what == PEER else calls, what, options)
        for what, work in works.items()
        if options.wants(what)
    }
    if options.wants(APPROVED):
        samples = QUICK_APPROVALS if options.quick else APPROVALS
        where = MEMORY_DISK if MEMORY_DISK.is_dir() else None
        took[APPROVED] = [1000 * s for s in approve_to_act(samples, where, options.say)]
        notes.append("approve to act: wall-clock time, everything in one process")
    return Result("policy", COLUMNS, [_row(*item) for item in took.items()], _figures(took), notes)


def _rules(written: Sequence[str]) -> Rules:
    lines = ["rules:"]
    for number, condition in enumerate(written):
        rule = f'name: r{number}, when: "{condition}", then: allow, because: measured'
        lines.append(f"  - {{{rule}}}")
    return parse_rules("\n".join(lines))


def _cel_python(
    written: Sequence[str], values: Mapping[str, object]
) -> Callable[[], object] | None:
    try:
        import celpy  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    environment = celpy.Environment()
    programs = [environment.program(environment.compile(condition)) for condition in written]

    def ask() -> object:
        bound = {name: celpy.json_to_cel(value) for name, value in values.items()}
        return [program.evaluate(bound) for program in programs]

    return ask


def _times(work: Callable[[], object], calls: int, what: str, options: Options) -> list[float]:
    """Milliseconds of each call."""
    options.say(f"{what}: {calls} calls")
    for _ in range(calls // 10):  # a warm-up
        work()
    took = []
    for _ in range(calls):
        began = time.thread_time_ns()
        work()
        took.append((time.thread_time_ns() - began) / 1e6)
    return took


def _p99(took: Sequence[float]) -> float:
    return statistics.quantiles(took, n=100)[98]


def _row(what: str, took: Sequence[float]) -> Row:
    return {
        "what": what,
        "calls": len(took),
        "median_ms": statistics.median(took),
        "p99_ms": _p99(took),
    }


def _figures(took: Mapping[str, Sequence[float]]) -> dict[str, float]:
    names = {GATE: "gate_ms", GATE_WITHOUT: "gate_no_rules_ms", ALONE: "rules_ms"}
    figures = {}
    for what, name in names.items():
        if what in took:
            figures[f"{name}_median"] = statistics.median(took[what])
            figures[f"{name}_p99"] = _p99(took[what])
    if APPROVED in took:
        figures["approve_to_act_s_median"] = statistics.median(took[APPROVED]) / 1000
        figures["approve_to_act_s_p99"] = _p99(took[APPROVED]) / 1000
    if PEER in took and ALONE in took:
        figures["rules_ratio_cel_python"] = statistics.median(took[PEER]) / statistics.median(
            took[ALONE]
        )
    return figures
