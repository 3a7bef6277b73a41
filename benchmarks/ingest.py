"""How fast metrics come in: samples of real expositions per second of CPU time, on one core.

Two recordings (llama.cpp's server, and vLLM 0.32 with 420 series), told again and again with other
numbers, as a target that is scraped tells them. *Known layout* is what nearly every scrape is: the
same series in the same order. *Known lines* is the fallback when series come, go or change places,
and *first scrape* is a target that was never seen. The peer is `prometheus_client.parser`, which
remembers nothing. The limit is what converting the numbers alone costs in Python. All take turns on
the same text in the same process; medians over the rounds, and their range.

What it takes until a number can be judged is in :mod:`benchmarks.ingest_whole`.
"""

from __future__ import annotations

import random
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import ingest_whole
from benchmarks.report import Options, Result, Row
from vagus.errors import VagusError
from vagus.telemetry.exposition import Parser

RECORDED = Path(__file__).parent.parent / "tests" / "data" / "expositions"
PARSED = ("llamacpp", "vllm-0.32-cpu")  # of those, for figures that can be compared over time
FLEET = "vllm-0.32-cpu"
SCRAPES = 20  # of each recording, with other numbers each time
ROUNDS, QUICK_ROUNDS = 15, 5
ENOUGH_S = 0.05  # of CPU time that one measurement lasts at least
SEED = 7

LIMIT, LAYOUT, LINES, FIRST, PEER = (
    "float() alone",
    "Vagus, known layout",
    "Vagus, known lines",
    "Vagus, first scrape",
    "prometheus_client",
)
SCRAPED, OTLP = "a fleet of vLLM", "OTLP of a fleet"
STORED, WALKED = "Vagus, to the store", "protobuf, walked"
COLUMNS = {
    "exposition": "exposition",
    "series": "series",
    "parser": "parser",
    "samples_per_s": "samples/s",
    "range": "range",
    "ratio": "x prometheus_client",
}

_SAMPLE = re.compile(r"^([^#\n].*) (\S+)$", re.MULTILINE)

Work = Callable[[Sequence[bytes]], None]
"""Parses every one of some scrapes."""


@dataclass
class _Measured:
    """Speeds of one parser on one exposition, a round each."""

    speeds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.speeds)

    @property
    def range(self) -> str:
        return f"{min(self.speeds):,.0f} .. {max(self.speeds):,.0f}"


def run(options: Options) -> Result:
    """Raises VagusError if there is no exposition."""
    folder = options.data or RECORDED
    files = [f for f in sorted(folder.glob("*.txt")) if options.wants(f.stem)]
    if options.data is None:
        files = [f for f in files if f.stem in PARSED]
    if not files:
        raise VagusError("no expositions (*.txt)", where=str(folder), mend="name them with --data")
    scrapes = {file.stem: told_again(file.read_text(encoding="utf-8")) for file in files}
    notes = ["CPU time of one process; other load on the machine does not count, its caches do"]
    peer = _prometheus_client()
    if peer is None:
        notes.append("prometheus_client is left out: pip install prometheus-client")
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    measured = _measure(scrapes, peer, rounds, options)
    counts = {name: len(_SAMPLE.findall(told[0].decode())) for name, told in scrapes.items()}
    rows, figures = _rows(measured, counts), _figures(measured, counts)
    if FLEET in scrapes:
        whole = _measure_whole(scrapes[FLEET], counts[FLEET], rounds, options)
        rows += _whole_rows(whole, counts[FLEET])
        figures["scrape_to_store_samples_per_s"] = whole[SCRAPED, STORED].median
        figures["otlp_points_per_s"] = whole[OTLP, STORED].median
        figures["otlp_ratio_walk"] = whole[OTLP, STORED].median / whole[OTLP, WALKED].median
    return Result("ingest", COLUMNS, rows, figures, notes)


def _measure_whole(
    told: Sequence[bytes], samples: int, rounds: int, options: Options
) -> dict[tuple[str, str], _Measured]:
    works = {
        (SCRAPED, STORED): ingest_whole.scrape_to_store(told, samples),
        (OTLP, STORED): ingest_whole.otlp_to_store(),
        (OTLP, WALKED): ingest_whole.otlp_walked(),
    }
    measured: dict[tuple[str, str], _Measured] = {what: _Measured() for what in works}
    for number in range(rounds + 2):
        options.say(f"to the store: round {number} of {rounds + 1}")
        for what, work in works.items():
            done, spent = work()
            if number > 1:  # first each target is met, and then its counters are reset
                measured[what].speeds.append(done / spent)
    return measured


def _whole_rows(measured: Mapping[tuple[str, str], _Measured], samples: int) -> list[Row]:
    series = {SCRAPED: samples, OTLP: ingest_whole.SENT * ingest_whole.SIGNALS_SENT}
    return [
        {
            "exposition": source,
            "series": series[source],
            "parser": work,
            "samples_per_s": speeds.median,
            "range": speeds.range,
            "ratio": None,
        }
        for (source, work), speeds in measured.items()
    ]


def told_again(text: str, times: int = SCRAPES) -> list[bytes]:
    """The exposition ``times`` times, each with other numbers of the same kind."""
    draw = random.Random(SEED)

    def other(found: re.Match[str]) -> str:
        number = float(found[2])
        told = number + draw.randrange(1000) if number.is_integer() else number * draw.random()
        return f"{found[1]} {told!r}"

    return [_SAMPLE.sub(other, text).encode() for _ in range(times)]


def _measure(
    scrapes: Mapping[str, Sequence[bytes]], peer: Work | None, rounds: int, options: Options
) -> dict[tuple[str, str], _Measured]:
    measured: dict[tuple[str, str], _Measured] = {}
    for name, told in scrapes.items():
        samples = sum(len(_SAMPLE.findall(scrape.decode())) for scrape in told)
        works = _works(told)
        if peer is not None:
            works[PEER] = peer
        for number in range(rounds + 1):
            options.say(f"{name}: round {number} of {rounds}")
            for parser, work in works.items():
                speed = _speed(work, told, samples)
                if number:  # the round before the first is a warm-up
                    measured.setdefault((name, parser), _Measured()).speeds.append(speed)
    return measured


def _works(told: Sequence[bytes]) -> dict[str, Work]:
    known, shuffled = Parser(), Parser()
    for scrape in told:
        known.parse(scrape)
        shuffled.parse(scrape)
    numbers = [[m[2] for m in _SAMPLE.finditer(scrape.decode())] for scrape in told]

    def lines(scrapes: Sequence[bytes]) -> None:
        for number, scrape in enumerate(scrapes):
            shuffled.parse(scrape + b"\n" * (number % 2))  # never the layout of the one before

    def first(scrapes: Sequence[bytes]) -> None:
        for scrape in scrapes:
            Parser().parse(scrape)

    def limit(scrapes: Sequence[bytes]) -> None:
        for spelled in numbers:
            list(map(float, spelled))

    return {
        LIMIT: limit,
        LAYOUT: lambda scrapes: _parse_all(known, scrapes),
        LINES: lines,
        FIRST: first,
    }


def _parse_all(parser: Parser, scrapes: Sequence[bytes]) -> None:
    for scrape in scrapes:
        parser.parse(scrape)


def _prometheus_client() -> Work | None:
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        return None

    def parse(scrapes: Sequence[bytes]) -> None:
        for scrape in scrapes:
            for family in text_string_to_metric_families(scrape.decode()):
                assert family is not None

    return parse


def _speed(work: Work, told: Sequence[bytes], samples: int) -> float:
    """Samples per second of CPU time."""
    times, began = 0, time.process_time()
    while (spent := time.process_time() - began) < ENOUGH_S:
        work(told)
        times += 1
    return times * samples / spent


def _rows(measured: Mapping[tuple[str, str], _Measured], counts: Mapping[str, int]) -> list[Row]:
    rows: list[Row] = []
    for (exposition, parser), speeds in measured.items():
        peer = measured.get((exposition, PEER))
        rows.append(
            {
                "exposition": exposition,
                "series": counts[exposition],
                "parser": parser,
                "samples_per_s": speeds.median,
                "range": speeds.range,
                "ratio": speeds.median / peer.median if peer is not None else None,
            }
        )
    return rows


def _figures(
    measured: Mapping[tuple[str, str], _Measured], counts: Mapping[str, int]
) -> dict[str, float]:
    """Over both expositions: all their samples by the time that they take together."""

    def together(parser: str) -> float:
        return sum(counts.values()) / sum(n / measured[e, parser].median for e, n in counts.items())

    figures = {"parse_samples_per_s": together(LAYOUT)}
    if all((exposition, PEER) in measured for exposition in counts):
        figures["parse_ratio_prometheus_client"] = together(LAYOUT) / together(PEER)
        figures["parse_ratio_prometheus_client_known_lines"] = together(LINES) / together(PEER)
    return figures
