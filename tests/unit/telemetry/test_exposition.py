"""The corners of the text format, and targets that misbehave in it."""

from __future__ import annotations

import pytest

from vagus.errors import MalformedData
from vagus.telemetry.exposition import Parser
from vagus.telemetry.sample_line import Series, read_sample


def read(parser: Parser, text: str) -> dict[str, float]:
    samples = parser.parse(text.encode())
    return {
        _spelled(parser.series[number]): value
        for number, value in zip(samples.ids.tolist(), samples.values.tolist(), strict=True)
    }


def _spelled(series: Series) -> str:
    labels = ",".join(f"{name}={value}" for name, value in series.labels)
    return f"{series.name}[{labels}]" if labels else series.name


@pytest.mark.parametrize(
    ("line", "series", "value"),
    [
        ("a 1", Series("a"), 1.0),
        ("a:b_c\t 1e3", Series("a:b_c"), 1000.0),
        ('a{b="c"} -0.5 1700000000000', Series("a", (("b", "c"),)), -0.5),
        ('a{z="1",b="2",} 3', Series("a", (("b", "2"), ("z", "1"))), 3.0),
        ('a { b = "c" , d="e" }  4', Series("a", (("b", "c"), ("d", "e"))), 4.0),
        ("a{} 5", Series("a"), 5.0),
        (r'a{b="\"\\\n\x"} 6', Series("a", (("b", '"\\\n\\x'),)), 6.0),
        ('a{b="} 7 # {"} 8', Series("a", (("b", "} 7 # {"),)), 8.0),
        ('a_bucket{le="1"} 9 # {trace_id="x} y"} 0.5 1.7', Series("a_bucket", (("le", "1"),)), 9.0),
        ('a 10 # {trace_id="x"} 0.5', Series("a"), 10.0),
        ("a 11 1.5 # {} 0.5", Series("a"), 11.0),
        ('{"my.metric",b="c"} 12', Series("my.metric", (("b", "c"),)), 12.0),
        ('a{"my.label"="c"} 13', Series("a", (("my.label", "c"),)), 13.0),
    ],
)
def test_a_line_by_the_book(line: str, series: Series, value: float) -> None:
    sample = read_sample(line)
    assert (sample.series, sample.value) == (series, value)


@pytest.mark.parametrize(
    "line",
    [
        *("a", "a ", "1a 1", "a one", "a 1_0", "a 1 later", "a 1 2 3", "{} 1", "-a 1", "a1"),
        *('a{b="c" 1', "a{b=c} 1", 'a{b="c} 1', 'a{b="c",b="d"} 1', 'a{b="c"d="e"} 1', "a{b} 1"),
        *('a{"x"} 1', 'a{b="c"}', "a{,1", "<html>", "a{b='c'} 1", 'a{="c"} 1'),
    ],
)
def test_a_line_that_is_none(line: str) -> None:
    with pytest.raises(ValueError):
        read_sample(line)


def test_ids_are_stable_and_the_layout_is_one_object() -> None:
    parser = Parser()
    first = parser.parse(b'a 1\nb{c="d"} 2\n')
    second = parser.parse(b'a 3\nb{c="d"} 4\n')
    third = parser.parse(b'b{c="d"} 5\na 6\n')
    fourth = parser.parse(b'b{c="d"} 7\na 8\n')
    assert first.ids is second.ids
    assert second.ids is not third.ids
    assert third.ids is fourth.ids
    assert fourth.ids.tolist() == [1, 0]
    assert fourth.values.tolist() == [7, 8]


def test_a_sample_in_the_place_of_a_comment_is_seen() -> None:
    parser = Parser()
    for _ in range(2):
        assert read(parser, "# x\na 1\n") == {"a": 1}
    assert read(parser, "b 2\na 1\n") == {"a": 1, "b": 2}
    assert read(parser, "# x\na 1\n") == {"a": 1}


def test_timestamps_and_exemplars_that_come_and_go() -> None:
    parser = Parser()
    for text, expected in (
        ('a{b="c"} 1\n', 1),
        ('a{b="c"} 2 1700\n', 2),
        ('a{b="c"} 3 # {t="} 9"} 0.5\n', 3),
        ('a{b="c"} 4\n', 4),
        ('a{b="c"}   5  \n', 5),
        ('a{b="c"} 6\r\n', 6),
    ):
        assert read(parser, text) == {"a[b=c]": expected}, text
    assert len(parser.series) == 1


def test_a_known_name_with_labels_behind_a_space_is_not_the_bare_name() -> None:
    parser = Parser()
    assert read(parser, "a 1\n") == {"a": 1}
    assert read(parser, 'a {b="c"} 2\n') == {"a[b=c]": 2}
    assert read(parser, 'a {b="c"} 3\na 4\n') == {"a[b=c]": 3, "a": 4}


def test_the_first_of_two_samples_of_one_series_counts() -> None:
    parser = Parser()
    for _ in range(2):
        assert read(parser, 'a{b="1",c="2"} 1\nx 3\na{c="2",b="1"} 2\n') == {
            "a[b=1,c=2]": 1,
            "x": 3,
        }
    assert parser.dropped == 2


def test_half_a_line_at_the_end_is_not_a_smaller_number() -> None:
    parser = Parser()
    assert read(parser, "a 100\nb 123\n") == {"a": 100, "b": 123}
    assert read(parser, "a 100\nb 12") == {"a": 100}
    assert parser.rejected == 1
    assert read(parser, "a 100\nb 124\n# EOF") == {"a": 100, "b": 124}
    assert parser.rejected == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\n\n",
        b"# HELP a only metadata\n",
        b"<!DOCTYPE html><html></html>",
        b'{"status": "ok"}\n',
        b"\x1f\x8b\x08\x00rest of a gzip",
        b"a 1\nb\x00c 2\n",
        b"a 1\n\xff\xfe\n",
        b"no such page\n",
    ],
)
def test_what_is_no_exposition_is_said_to_be_none(payload: bytes) -> None:
    with pytest.raises(MalformedData):
        Parser().parse(payload)


def test_too_many_series_are_counted_not_kept() -> None:
    parser = Parser(max_series=10)
    text = "".join(f"a{n} {n}\n" for n in range(25))
    for scrape in range(1, 4):
        assert len(read(parser, text)) == 10
        assert parser.dropped == 15 * scrape
    assert parser.epoch == 0


def test_labels_that_are_always_new_do_not_fill_memory() -> None:
    parser = Parser(max_series=10)
    for scrape in range(100):
        text = f'steady 1\nonce{{request="{scrape}"}} 2\n'
        found = read(parser, text)
        assert found == {"steady": 1, f"once[request={scrape}]": 2}
    assert len(parser.series) <= 10
    assert len(parser._known) <= 20
    assert parser.dropped == 0
    assert parser.epoch > 5
