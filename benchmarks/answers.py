"""A model that became worse: prompts until it is noticed, against false alarms while it is well.

Real weights (the lab's SmolLM2-135M on llama.cpp), healthy and damaged at five strengths: a share
of the rows of ``ffn_down`` in six layers is in another order. Every version loads, is healthy, and
answers as fast as ever. Each is asked fixed texts token by token (canary perplexity, by the probe
that Vagus has for llama.cpp) and questions with known answers (canary prompts, greedy).

What was measured once is then drawn from at random, as a probe that picks its text at random would
do: 200 healthy runs, which count false alarms, and 200 of each strength, of which the median number
of prompts until the alarm is told. The detector learned from healthy rounds that are not those of
the null runs. The peer is a fixed threshold: alarm when the mean of the last 20 prompts is beyond
three standard errors of the healthy ones, judged at each prompt.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np

from benchmarks.answers_canaries import QUESTIONS, TEXTS
from benchmarks.report import Options, Result, Row
from vagus.adapters import http
from vagus.adapters.llama.perplexity import PerplexityProbe
from vagus.detection.answers import Canaries, Perplexity
from vagus.errors import VagusError
from vagus.lab import llama, weights
from vagus.lab.progress import silent
from vagus.lab.settings import HOST, LabSettings
from vagus.model import Subject

STRENGTHS = {"01pct": 0.01, "03pct": 0.03, "10pct": 0.1, "30pct": 0.3, "all": 1.0}
LAYERS, SEED = 6, 7
HEALTHY_ROUNDS = 3
"""The first gives the centres, the second teaches, and null runs are drawn from the third."""
RUN_LENGTH = 10_000.0
RUNS, QUICK_RUNS = 200, 20
NULL_LENGTH, GIVE_UP = 1_000, 1_000
RECORDED = 200
"""Canary prompts that the healthy hit rate is recorded from."""
PORT = 26_390
START_S, PAUSE_S = 120.0, 0.2
ANSWER_TOKENS = 8
LAST, ERRORS = 20, 3.0
SUBJECT = Subject("chat", "chat-1")
COLUMNS = {
    "strength": "rows damaged",
    "detector": "detector",
    "runs": "runs",
    "prompts": "prompts to alarm, median",
    "within": "found within 1,000",
    "alarms": "false alarms",
    "nats": "nats a token",
    "hits": "questions hit",
    "seconds": "s a prompt",
}


@dataclass(frozen=True)
class Measured:
    """One version: rounds of nats of each text, of hits of each question, and what it took."""

    nats: list[list[float]]
    hits: list[list[bool]]
    seconds: float


def run(options: Options) -> Result:
    """Raises VagusError if the lab's weights are not there or do not load."""
    settings = LabSettings()
    good = weights.make(settings, "v1", silent)
    texts = TEXTS[::4] if options.quick else TEXTS
    questions = QUESTIONS[::4] if options.quick else QUESTIONS
    options.say("healthy")
    healthy = measure(good, texts, questions, HEALTHY_ROUNDS)
    worse = {}
    with tempfile.TemporaryDirectory(dir=settings.cache_dir) as folder:
        for name, share in STRENGTHS.items():
            if options.wants(name):
                options.say(f"damaged: {name}")
                bad = Path(folder) / f"{name}.gguf"
                weights.damage(good, bad, layers=LAYERS, share=share, seed=SEED)
                worse[name] = measure(bad, texts, questions, 1)
                bad.unlink()
    return _judge(healthy, worse, QUICK_RUNS if options.quick else RUNS)


def _judge(healthy: Measured, worse: dict[str, Measured], runs: int) -> Result:
    rows: list[Row] = []
    figures: dict[str, float] = {}
    alarms: dict[str, int] = {}
    for detector, make in DETECTORS.items():
        alarms[detector] = sum(_alarms(make(healthy, seed), healthy, seed) for seed in range(runs))
        rows.append(_row("none", detector, healthy, runs) | {"alarms": alarms[detector]})
    figures["false_alarms"] = float(alarms["perplexity"] + alarms["canary prompts"])
    for name, measured in worse.items():
        for detector, make in DETECTORS.items():
            found = [_delay(make(healthy, seed), measured, seed) for seed in range(runs)]
            median = statistics.median(GIVE_UP + 1 if one is None else one for one in found)
            seen = {
                "prompts": float(median) if median <= GIVE_UP else None,
                "within": sum(one is not None for one in found) / runs,
            }
            rows.append(_row(name, detector, measured, runs) | seen)
            if detector == "perplexity" and median <= GIVE_UP:
                figures[f"prompts_to_alarm_{name}"] = float(median)
    return Result("answers", COLUMNS, rows, figures, _notes(runs), {"prompts": "later"})


def _notes(runs: int) -> list[str]:
    return [
        f"false alarms: of {runs} null runs of {NULL_LENGTH:,} prompts each, at a declared run "
        f"length of {RUN_LENGTH:,.0f}: {runs * NULL_LENGTH / RUN_LENGTH:.0f} are allowed",
        "null runs are drawn at random from the last healthy round, not measured anew; llama.cpp "
        "on one machine hardly varies, so they say little of a fleet of different machines",
        "prompts to alarm in the figures are of the perplexity, false alarms of it and the canary "
        "prompts together; a strength that is not found in the median has no figure",
        f"the peer alarms when the mean of {LAST} prompts is {ERRORS:g} standard errors off",
    ]


def _row(
    strength: str, detector: str, of: Measured, runs: int
) -> dict[str, str | float | int | None]:
    return {
        "strength": strength,
        "detector": detector,
        "runs": runs,
        "nats": statistics.fmean(of.nats[-1]),
        "hits": statistics.fmean(map(float, of.hits[-1])),
        "seconds": of.seconds,
    }


# --- detectors: a function that is given the number of a text and a version, and tells an alarm ---

Detector = Callable[[Measured, int, int], bool]
"""(version, number of the text or question by chance, its round) -> alarm."""


def _perplexity(healthy: Measured, seed: int) -> Detector:
    centres = {str(number): nats for number, nats in enumerate(healthy.nats[0])}
    random = np.random.default_rng(1_000 + seed)
    taught = healthy.nats[1:-1]
    drawn = [
        (str(number), taught[int(random.integers(len(taught)))][number])
        for number in random.integers(len(centres), size=RECORDED).tolist()
    ]
    detector = Perplexity(centres, drawn, run_length=RUN_LENGTH, seed=seed)

    def observe(version: Measured, chance: int, turn: int) -> bool:
        number = chance % len(version.nats[turn])
        return detector.observe(str(number), version.nats[turn][number])

    return observe


def _canaries(healthy: Measured, seed: int) -> Detector:
    random = np.random.default_rng(2_000 + seed)
    known = [hit for taught in healthy.hits[:-1] for hit in taught]
    hits = sum(known[i] for i in random.integers(len(known), size=RECORDED))
    detector = Canaries(hits, RECORDED, run_length=RUN_LENGTH)

    def observe(version: Measured, chance: int, turn: int) -> bool:
        return detector.observe(version.hits[turn][chance % len(version.hits[turn])])

    return observe


def _threshold(healthy: Measured, seed: int) -> Detector:
    random = np.random.default_rng(1_000 + seed)
    taught = [nats for each in healthy.nats[:-1] for nats in each]
    drawn = [taught[i] for i in random.integers(len(taught), size=RECORDED)]
    limit = statistics.fmean(drawn) + ERRORS * statistics.stdev(drawn) / LAST**0.5
    last: list[float] = []

    def observe(version: Measured, chance: int, turn: int) -> bool:
        last.append(version.nats[turn][chance % len(version.nats[turn])])
        del last[:-LAST]
        if len(last) < LAST or statistics.fmean(last) <= limit:
            return False
        last.clear()
        return True

    return observe


DETECTORS: dict[str, Callable[[Measured, int], Detector]] = {
    "perplexity": _perplexity,
    "canary prompts": _canaries,
    "mean of 20, 3 errors": _threshold,
}


def _alarms(detector: Detector, healthy: Measured, seed: int) -> int:
    turn = len(healthy.nats) - 1
    chances = np.random.default_rng(3_000 + seed).integers(1 << 30, size=NULL_LENGTH)
    return sum(detector(healthy, int(chance), turn) for chance in chances)


def _delay(detector: Detector, version: Measured, seed: int) -> int | None:
    chances = np.random.default_rng(4_000 + seed).integers(1 << 30, size=GIVE_UP)
    return next((n for n, c in enumerate(chances, 1) if detector(version, int(c), 0)), None)


# --- real answers --------------------------------------------------------------------------------


def measure(
    model: Path, texts: Sequence[str], questions: Sequence[tuple[str, str]], rounds: int
) -> Measured:
    """Ask a server of ``model`` everything, ``rounds`` times."""
    with _serving(model):
        return asyncio.run(_asked(texts, questions, rounds))


@contextmanager
def _serving(model: Path) -> Iterator[None]:
    process = subprocess.Popen(
        llama.command(model, "canary", PORT),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.communicate()


async def _asked(
    texts: Sequence[str], questions: Sequence[tuple[str, str]], rounds: int
) -> Measured:
    base = f"http://{HOST}:{PORT}"
    async with http.open_session() as session:
        await _ready(session, base)
        probe = PerplexityProbe(session, lambda subject: base)
        nats, hits, spent = [], [], 0.0
        for _ in range(rounds):
            began = time.monotonic()
            nats.append([(await probe.surprise(SUBJECT, text)).nats for text in texts])
            spent += time.monotonic() - began
            hits.append([await _hit(session, base, *question) for question in questions])
        return Measured(nats, hits, spent / (rounds * len(texts)))


async def _ready(session: aiohttp.ClientSession, base: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            async with session.get(base + "/health") as response:
                if response.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(PAUSE_S)
    raise VagusError("the model was not loaded in time", where=base)


async def _hit(session: aiohttp.ClientSession, base: str, prompt: str, expected: str) -> bool:
    body = {"prompt": prompt, "n_predict": ANSWER_TOKENS, "temperature": 0, "cache_prompt": True}
    async with session.post(base + "/completion", json=body) as response:
        return expected.lower() in (await response.json())["content"].lower()
