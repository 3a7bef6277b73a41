"""``vagus query``: what was recorded, as a table, JSON, CSV or Parquet."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from vagus import config as settings
from vagus.cli.moments import moment_of, span_of
from vagus.clock import SystemClock
from vagus.errors import ConfigError, MissingExtra, VagusError
from vagus.query import Known, Row, Wanted, kind_of, known, query, unit_of

_COLUMNS = (
    *("time", "subject", "signal", "sense", "cohort"),
    *("mean", "lowest", "highest", "samples", "of", "unit"),
)

_SHOWN = 8  # subjects of one signal; all of them are in the JSON


@dataclass(frozen=True)
class Form:
    """How the answer is given; none of them: as a table."""

    as_json: bool = False
    as_csv: bool = False
    parquet: Path | None = None


def run_query(
    config: Path,
    signals: Sequence[str],
    *,
    subject: str,
    cohort: str,
    since: str,
    until: str | None,
    every: str,
    folder: Path | None,
    form: Form,
) -> None:
    """Without signals: which there are. Raises VagusError."""
    if form.as_json + form.as_csv + (form.parquet is not None) > 1:
        raise ConfigError("--json, --csv and --parquet are three forms", mend="ask for one")
    now = SystemClock().now()
    wanted = Wanted(
        since=moment_of(since, now, "--since"),
        until=now if until is None else moment_of(until, now, "--until"),
        every=_every(every),
        signals=tuple(signals),
        subject=subject,
        cohort=cohort,
    )
    if wanted.since >= wanted.until:
        raise ConfigError("lies after --until", where="--since")
    where = folder or _folder(config)
    if not where.is_dir():
        raise VagusError(
            "nothing was recorded there yet", where=str(where), mend="it is made by: vagus run"
        )
    if not signals and not form.as_csv and form.parquet is None:
        _print_known(known(where, wanted), as_json=form.as_json)
        return
    rows = query(where, wanted)
    if form.parquet is not None:
        write_parquet(rows, form.parquet)
        typer.echo(f"{len(rows):,} rows: {form.parquet}")
    elif form.as_csv:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(_COLUMNS)
        table.writerows([_iso(row.at), *_cells(row)] for row in rows)
    elif form.as_json:
        typer.echo(
            json.dumps(
                {"rows": [dict(zip(_COLUMNS, (row.at, *_cells(row)), strict=True)) for row in rows]}
            )
        )
    else:
        _print_rows(rows)


def _every(text: str) -> float:
    seconds = span_of(text, "--every")
    if seconds <= 0:
        raise ConfigError("has to be longer than nothing", where="--every")
    return seconds


def _folder(config: Path) -> Path:
    stack = settings.load(config)
    if stack.telemetry.history is None:
        raise ConfigError(
            "nothing is recorded",
            where="telemetry.history",
            mend="set telemetry.history, or give a folder of recordings with --folder",
        )
    return stack.telemetry.history


def _cells(row: Row) -> tuple[str | float | int, ...]:
    key = row.series
    return (
        *(str(key.subject), key.signal, key.sense.value, key.cohort),
        *(row.mean, row.lowest, row.highest, row.samples, kind_of(key.signal), unit_of(key.signal)),
    )


def _print_known(series: Sequence[Known], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"series": [_told(one) for one in series]}))
        return
    if not series:
        typer.echo("nothing was recorded in this time; ask further back with --since")
        return
    console = Console()
    for signal, group in groupby(series, key=lambda one: one.series.signal):
        ones = list(group)
        title = f"{signal}: {kind_of(signal)} in {unit_of(signal)}"
        console.print(title, style="bold", markup=False, highlight=False, no_wrap=True)
        table = Table(box=None, show_header=False)
        for one in ones[:_SHOWN]:
            key = one.series
            cohort = f"cohort {key.cohort}" if key.cohort else ""
            last = f"{one.last:.4g} at {_clock(one.last_at)}"
            table.add_row(" ", str(key.subject), key.sense.value, cohort, last)
        console.print(table)
        if len(ones) > _SHOWN:
            console.print(f"  ... and {len(ones) - _SHOWN} more", highlight=False)
    typer.echo("\nMore of one: vagus query SIGNAL --subject 'chat/*' --since 12h --every 5m")


def _told(one: Known) -> dict[str, str | float | int]:
    key = one.series
    return {
        "subject": str(key.subject),
        "signal": key.signal,
        "sense": key.sense.value,
        "cohort": key.cohort,
        "of": kind_of(key.signal),
        "unit": unit_of(key.signal),
        "samples": one.samples,
        "first_at": one.first_at,
        "last_at": one.last_at,
        "last": one.last,
    }


def _print_rows(rows: Sequence[Row]) -> None:
    if not rows:
        typer.echo("nothing was recorded in this time; ask further back with --since")
        return
    console = Console()
    for series, spans in groupby(rows, key=attrgetter("series")):
        cohort = f", cohort {series.cohort}" if series.cohort else ""
        title = (
            f"{series.signal} of {series.subject}{cohort}, by {series.sense.value}: "
            f"{kind_of(series.signal)} in {unit_of(series.signal)}"
        )
        console.print(title, style="bold", markup=False, highlight=False)
        table = Table(box=None, header_style="bright_black")
        for name in ("time", "mean", "lowest", "highest", "values"):
            table.add_column(name, justify="left" if name == "time" else "right")
        for row in spans:
            figures = (f"{figure:.4g}" for figure in (row.mean, row.lowest, row.highest))
            table.add_row(_clock(row.at), *figures, f"{row.samples}")
        console.print(table)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def write_parquet(rows: Sequence[Row], file: Path) -> None:
    """A new file, there entirely or not at all; ``time`` is in milliseconds of UTC."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("parquet", "pyarrow") from error
    if file.exists():
        raise VagusError("is there already", where=str(file), mend="name a new file")
    columns = list(zip(*((round(row.at * 1000), *_cells(row)) for row in rows), strict=True))
    words = arrow.dictionary(arrow.int32(), arrow.string())
    kinds = (
        arrow.timestamp("ms", tz="UTC"),
        *[words] * 4,
        *[arrow.float64()] * 3,
        arrow.int64(),
        *[words] * 2,
    )
    arrays = [
        arrow.array(column, kind)
        for column, kind in zip(columns or [()] * len(_COLUMNS), kinds, strict=True)
    ]
    unfinished = file.with_name(f".{file.name}.part")
    try:
        parquet.write_table(arrow.table(arrays, names=list(_COLUMNS)), unfinished)
        unfinished.replace(file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise VagusError(f"can't be written: {error.strerror or error}", where=str(file)) from error
