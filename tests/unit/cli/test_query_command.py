"""``vagus query`` as it is called: on recordings that are being written, and on the learnt past."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vagus.cli import app
from vagus.clock import ManualClock
from vagus.errors import ConfigError, MissingExtra, VagusError
from vagus.model import Probe, Sense, Subject
from vagus.model.series import Column, Series, SeriesKey
from vagus.telemetry import segments
from vagus.telemetry.recording import batch_line, column_line, series_line

NOON = 1_700_000_000.0 - 1_700_000_000.0 % 3600
CHAT, CHAT_1, CHAT_2 = Subject("chat"), Subject("chat", "chat-1"), Subject("chat", "chat-2")
TTFT, TOKENS = "gen_ai.server.time_to_first_token", "vagus.server.tokens.output"
SERIES: Series = (
    SeriesKey(CHAT_1, TTFT, Sense.GATEWAY),
    None,
    SeriesKey(CHAT_1, TOKENS, Sense.SCRAPE),
    SeriesKey(CHAT_2, TTFT, Sense.GATEWAY),
    SeriesKey(CHAT, TTFT, Sense.GATEWAY, "gold"),
)


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """Two minutes and a half, a tick a second, in segments of one minute; it is still recorded."""
    path = tmp_path / "vagus.yaml"
    path.write_text(
        'stack:\n  chat: {kind: model-server, replicas: {chat-1: "http://127.0.0.1:1"}}\n'
        "telemetry: {history: ./history}\n"
    )
    clock = ManualClock(NOON)
    writer = segments.Segments(tmp_path / "history", clock, segments.Limits())
    for second in range(150):
        if second % 60 == 0:
            writer.finish()
            writer.open()
            writer.write(series_line(SERIES))
        writer.write(batch_line(clock.now(), [Probe(CHAT_1, clock.now())]))
        value = np.nan if second % 2 else float(second)
        row = np.array([0.1 if second < 60 else 0.3, np.nan, value, np.nan, 0.7])
        writer.write(column_line(Column(clock.now(), SERIES, row)))
        clock.advance(1)
    writer.flush()
    yield path
    writer.close()


def call(config: Path, *words: str) -> str:
    since = () if "--since" in words else ("--since", iso(NOON))
    answer = CliRunner().invoke(
        app, ["query", *words, "-c", str(config), *since, "--until", iso(NOON + 3600)]
    )
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def rows(config: Path, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(call(config, *words, "--json"))["rows"]
    return found


def test_a_minute_a_row(config: Path) -> None:
    found = rows(config, TTFT, "--subject", "chat/*")
    assert [(row["time"], row["mean"], row["samples"]) for row in found] == [
        (NOON, pytest.approx(0.1), 60),
        (NOON + 60, pytest.approx(0.3), 60),
        (NOON + 120, pytest.approx(0.3), 30),
    ]
    assert {row["subject"] for row in found} == {"chat/chat-1"}, "chat-2 has no value"
    assert (found[0]["of"], found[0]["unit"]) == ("median", "s")


def test_what_stands_out_within_a_span_is_not_lost(config: Path) -> None:
    (hour,) = rows(config, TOKENS, "--every", "1h")
    assert (hour["lowest"], hour["highest"], hour["samples"]) == (0, 148, 75)
    assert hour["mean"] == pytest.approx(np.mean(range(0, 150, 2)))
    assert (hour["of"], hour["unit"]) == ("rate", "{token}/s")


def test_a_span_across_segments_is_one_row(config: Path) -> None:
    assert [r["samples"] for r in rows(config, TTFT, "--cohort", "*", "--every", "100s")] == [
        # Spans begin at multiples of themselves, so that two queries can be laid side by side.
        int(100 - NOON % 100),
        50 + int(NOON % 100),
    ]


def test_since_and_until(config: Path) -> None:
    found = rows(config, TOKENS, "--since", iso(NOON + 118), "--every", "1s")
    assert [row["time"] for row in found][:2] == [NOON + 118, NOON + 120]


def test_a_cohort(config: Path) -> None:
    found = rows(config, TTFT, "--cohort", "g*")
    assert {(row["subject"], row["cohort"]) for row in found} == {("chat", "gold")}


def test_without_arguments_it_lists_what_is_there(config: Path) -> None:
    told = json.loads(call(config, "--json"))["series"]
    assert [(one["signal"], one["subject"], one["cohort"], one["samples"]) for one in told] == [
        (TTFT, "chat", "gold", 150),
        (TTFT, "chat/chat-1", "", 150),
        (TOKENS, "chat/chat-1", "", 75),
    ]
    assert told[2]["last"] == 148
    assert told[2]["unit"] == "{token}/s"
    page = call(config)
    assert TOKENS in page
    assert "vagus query SIGNAL" in page


def test_tables_have_their_unit(config: Path) -> None:
    assert "vagus.server.tokens.output of chat/chat-1, by scrape: rate in {token}/s" in " ".join(
        call(config, TOKENS).split()
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((TOKENS, "time_to_first_tokn"), "there is gen_ai.server.time_to_first_token"),
        (("*.time_to_first",), TTFT),
        ((TTFT, "--subject", "chat/chat-7"), "chat/chat-1"),
        ((TTFT, "--cohort", "golden"), "there is gold"),
    ],
)
def test_an_unknown_name_gives_the_nearest(config: Path, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match="nothing was recorded of a") as caught:
        call(config, *words)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("--since", "lately"), "--since"),
        (("--since", iso(NOON + 7200)), "--since"),
        (("--every", "0"), "--every"),
        (("--every", "5"), "--every"),
    ],
)
def test_what_cannot_be_meant(config: Path, words: tuple[str, ...], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        call(config, TTFT, *words)
    assert caught.value.where == where


def test_one_form_at_a_time(config: Path) -> None:
    with pytest.raises(ConfigError, match="three forms"):
        call(config, TTFT, "--json", "--csv")


def test_it_says_where_nothing_was_recorded(config: Path, tmp_path: Path) -> None:
    with pytest.raises(VagusError, match="nothing was recorded there yet"):
        call(config, "--folder", str(tmp_path / "elsewhere"))
    (tmp_path / "empty").mkdir()
    assert "nothing was recorded in this time" in call(config, "--folder", str(tmp_path / "empty"))
    config.write_text(config.read_text().replace("telemetry:", "#"))
    with pytest.raises(ConfigError) as caught:
        call(config)
    assert caught.value.where == "telemetry.history"


def test_csv(config: Path) -> None:
    table = list(csv.DictReader(io.StringIO(call(config, TTFT, "--subject", "chat/*", "--csv"))))
    assert [row["time"] for row in table] == [
        *(iso(NOON).replace("+", ".000+"), iso(NOON + 60).replace("+", ".000+")),
        iso(NOON + 120).replace("+", ".000+"),
    ]
    assert float(table[1]["mean"]) == pytest.approx(0.3)


def test_parquet(config: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    file = tmp_path / "out.parquet"
    assert call(config, "*", "--parquet", str(file)).startswith("9 rows")
    table = parquet.read_table(file)
    assert table.num_rows == 9
    assert str(table.schema.field("time").type) == "timestamp[ms, tz=UTC]"
    assert table.column("signal")[0].as_py() == TTFT
    assert min(table.column("time").to_pylist()).timestamp() == NOON
    with pytest.raises(VagusError, match="is there already"):
        call(config, "*", "--parquet", str(file))
    assert call(config, "*", "--since", iso(NOON + 3000), "--parquet", f"{file}2") == (
        f"0 rows: {file}2\n"
    )
    assert parquet.read_table(f"{file}2").schema == table.schema


def test_parquet_needs_its_extra(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match="pyarrow"):
        call(config, TTFT, "--parquet", str(tmp_path / "out.parquet"))


def test_what_was_learnt_is_read_up_to_where_recording_begins(config: Path) -> None:
    learned = config.parent / "history" / "learned"
    lines = [series_line(SERIES[:1])]
    lines += [
        column_line(Column(NOON + at, SERIES[:1], np.array([9.0]))) for at in (-600, -300, 0, 60)
    ]
    segments.write_segment(learned, NOON - 600, lines)
    found = rows(config, TTFT, "--subject", "chat/*", "--since", iso(NOON - 3600))
    assert [row["mean"] for row in found] == [9.0, 9.0, *map(pytest.approx, (0.1, 0.3, 0.3))]
