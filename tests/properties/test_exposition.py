"""The fast parser says what prometheus_client says, and survives whatever is thrown at it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from vagus.errors import MalformedData
from vagus.telemetry.exposition import Parser
from vagus.telemetry.sample_line import Series, read_sample

RECORDED = sorted((Path(__file__).parent.parent / "data" / "expositions").glob("*.txt"))

Told = dict[Series, float]

names = st.sampled_from(["a", "a:b", "_x", "a_total", "a_bucket", "http_requests", "nan", "inf"])
label_names = st.sampled_from(["b", "le", "_name", "quantile", "code"])
label_values = st.text(alphabet='ab1\\"\n #{},=é\t', max_size=8)
labels = st.dictionaries(label_names, label_values, max_size=4)
numbers = st.floats(width=64) | st.integers(-(2**60), 2**60).map(float)
all_series = st.builds(
    lambda name, labels: Series(name, tuple(sorted(labels.items()))), names, labels
)


@st.composite
def spelled_numbers(draw: st.DrawFn) -> tuple[str, float]:
    value = draw(numbers)
    if math.isnan(value):
        return "NaN", value
    if math.isinf(value):
        return ("+Inf" if value > 0 else "-Inf"), value
    spelled = draw(st.sampled_from([repr(value), f"{value:.17g}", f"{value:.17E}"]))
    return spelled, float(spelled)


@st.composite
def lines(draw: st.DrawFn, series: Series) -> tuple[str, float]:
    """A line that tells ``series``, and the value it gives."""
    text, value = draw(spelled_numbers())
    order = draw(st.permutations(series.labels))
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in order)
    spelled = f"{series.name}{{{pairs}}}" if pairs or draw(st.booleans()) else series.name
    timestamp = draw(st.just("") | st.integers(0, 2**41).map(lambda at: f" {at}"))
    return f"{spelled} {text}{timestamp}", value


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


@st.composite
def expositions(draw: st.DrawFn, known: list[Series]) -> tuple[str, Told]:
    """Some of ``known``, in any order, between metadata and blank lines."""
    chosen = draw(st.lists(st.sampled_from(known), unique=True, min_size=1))
    text, told = [], {}
    for series in chosen:
        if draw(st.booleans()):
            text.append(draw(st.sampled_from(["", "# a comment", "# TYPE x gauge", "# HELP x y"])))
        line, told[series] = draw(lines(series))
        text.append(line)
    return "\n".join(text) + "\n", told


@st.composite
def several(draw: st.DrawFn) -> list[tuple[str, Told]]:
    """Expositions of one target, one after the other."""
    known = draw(st.lists(all_series, unique=True, min_size=1, max_size=6))
    return draw(st.lists(expositions(known), min_size=1, max_size=4))


def ours(parser: Parser, text: str) -> Told:
    samples = parser.parse(text.encode())
    return {
        parser.series[number]: value
        for number, value in zip(samples.ids.tolist(), samples.values.tolist(), strict=True)
    }


def theirs(text: str) -> Told:
    return {
        Series(sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def same(one: Told, other: Told) -> bool:
    return one.keys() == other.keys() and all(
        value == other[series] or (math.isnan(value) and math.isnan(other[series]))
        for series, value in one.items()
    )


@settings(max_examples=50)
@given(several())
def test_every_scrape_is_read_as_it_was_meant(scrapes: list[tuple[str, Told]]) -> None:
    parser = Parser()
    for text, told in scrapes:
        assert same(ours(parser, text), told)
    # Once more: now every beginning is known, and maybe the layout too.
    text, told = scrapes[-1]
    assert same(ours(parser, text), told)
    assert parser.rejected == parser.dropped == 0


@settings(max_examples=50)
@given(several())
def test_prometheus_client_agrees(scrapes: list[tuple[str, Told]]) -> None:
    parser = Parser()
    for text, _ in scrapes:
        # It reads a file by lines, so a carriage return or the like in a label would end one.
        if len(text.splitlines()) == text.count("\n"):
            assert same(_unmunged(ours(parser, text)), _unmunged(theirs(text)))


def _unmunged(told: Told) -> Told:
    """Without what prometheus_client makes of counters in its own model."""
    return {Series(s.name.removesuffix("_total"), s.labels): v for s, v in told.items()}


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_real_expositions(file: Path) -> None:
    parser, text = Parser(), file.read_text()
    moved = text.replace(" 0.0\n", " 17.5\n")
    for exposition in (text, text, moved, text):
        assert same(_unmunged(ours(parser, exposition)), _unmunged(theirs(exposition)))
    assert parser.rejected == parser.dropped == 0
    assert len(RECORDED) == 4


@given(st.binary(max_size=300))
@example(b"a 1\n\xff\n")
@example(b"nan\ninf\n1\n")
@example(b"{\n}\n{} 1\n")
def test_nothing_breaks_it(payload: bytes) -> None:
    parser = Parser()
    for _ in range(2):
        try:
            samples = parser.parse(payload)
        except MalformedData:
            continue
        assert len(samples.ids) == len(samples.values) == len(set(samples.ids.tolist()))


@settings(max_examples=50)
@given(several(), st.data())
def test_one_broken_line_spoils_no_other(
    scrapes: list[tuple[str, Told]], data: st.DataObject
) -> None:
    text, told = scrapes[0]
    broken = data.draw(
        st.sampled_from(
            ['a{b="c} 1', "a{b=c} 1", "a 1_000", "a one", "nan", "a", 'a{b="c"}', "{} 1", "a 1 2 3"]
        )
    )
    where = data.draw(st.integers(0, text.count("\n")))
    mixed = text.split("\n")
    mixed.insert(where, broken)
    parser = Parser()
    for _ in range(2):
        assert same(ours(parser, "\n".join(mixed)), told)
    assert parser.rejected == 2


@settings(max_examples=50)
@given(several(), st.integers(1, 3))
def test_series_are_bounded_whatever_comes(scrapes: list[tuple[str, Told]], most: int) -> None:
    parser = Parser(max_series=most)
    for text, told in scrapes:
        found = ours(parser, text) if told else {}
        assert len(found) <= most
        assert len(parser.series) <= most
        assert found.items() <= told.items() or any(map(math.isnan, found.values()))


@given(all_series, st.data())
def test_a_line_read_in_full(series: Series, data: st.DataObject) -> None:
    line, value = data.draw(lines(series))
    sample = read_sample(line)
    assert sample.series == series
    assert sample.value == value or math.isnan(value)
    assert line.startswith(sample.prefix)
