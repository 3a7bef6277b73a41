"""The live view: what Vagus sees and does, on one screen.

Condition is told by shape and word as well as by colour, so that it reads on any terminal and for
any eyes. Nothing here asks the system anything: it draws a snapshot and the latest lines of the
story.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from vagus.model import Incident, IncidentState
from vagus.narrative import Line
from vagus.snapshot import ReplicaView, Snapshot

_CONDITION = {
    "ok": ("●", "green"),
    "suspect": ("◐", "yellow"),
    "sick": ("✖", "bold red"),
    "out": ("○", "bright_black"),
    "returning": ("◔", "cyan"),
}
_TONE = {
    "bad": ("✖", "red"),
    "plan": ("›", "bright_black"),
    "act": ("▸", "cyan"),
    "good": ("✔", "green"),
    "ask": ("?", "yellow"),
    "info": ("·", "bright_black"),
}
_STATE = {
    IncidentState.OPEN: ("healing", "cyan"),
    IncidentState.ESCALATED: ("needs you", "bold yellow"),
    IncidentState.SHADOWED: ("shadow", "bright_black"),
}
_SPARKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Told:
    """A line of the story and when it happened (epoch s)."""

    at: float
    line: Line


def screen(snapshot: Snapshot, story: Sequence[Told], *, lines: int = 12) -> RenderableType:
    """The whole view."""
    parts: list[RenderableType] = [_header(snapshot), _replicas(snapshot.replicas)]
    if snapshot.incidents:
        parts.append(_incidents(snapshot.incidents, snapshot.at))
    parts += [Rule(style="bright_black"), *(tell(told) for told in story[-lines:])]
    return Group(*parts)


def tell(told: Told) -> Text:
    """One line of the story."""
    glyph, style = _TONE[told.line.tone]
    clock = datetime.fromtimestamp(told.at).astimezone().strftime("%H:%M:%S.%f")[:-4]
    text = Text.assemble(
        (clock, "bright_black"), "  ", (glyph, style), " ", (told.line.text, style)
    )
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _header(snapshot: Snapshot) -> RenderableType:
    mode_style = {"auto": "bold green", "shadow": "bold blue", "suggest": "bold yellow"}
    bar = Table.grid(expand=True)
    bar.add_column()
    bar.add_column(justify="right")
    senses = snapshot.senses
    trust = (
        Text("senses trusted", "green")
        if senses.trusted
        else Text(f"holding still: {senses.reason}", "bold yellow")
    )
    switch = (
        Text(f"  ■ kill switch: {snapshot.stopped}", "bold red") if snapshot.stopped else Text("")
    )
    bar.add_row(
        Text.assemble(
            ("vagus", "bold"), "  ", (snapshot.mode, mode_style.get(snapshot.mode, "bold")), "  ",
            trust, switch,
        ),
        Text(datetime.fromtimestamp(snapshot.at).astimezone().strftime("%H:%M:%S"), "bright_black"),
    )  # fmt: skip
    return bar


def _replicas(replicas: Sequence[ReplicaView]) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, header_style="bright_black")
    for title, justify in (
        ("replica", "left"), ("", "left"), ("traffic", "left"), ("req/s", "right"),
        ("failed/s", "right"), ("TTFT p50", "right"), ("p95", "right"), ("last minute", "left"),
        ("", "left"),
    ):  # fmt: skip
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for view in replicas:
        glyph, style = _CONDITION[view.condition]
        vitals = view.vitals
        failed = vitals.failed_per_s or 0.0
        table.add_row(
            view.subject.replica,
            Text(f"{glyph} {view.condition}", style),
            _bar(view.share),
            _number(vitals.requests_per_s, "{:.1f}"),
            Text(f"{failed:.1f}", "red") if failed >= 0.05 else Text("–", "bright_black"),
            _duration(vitals.ttft_p50),
            _duration(vitals.ttft_p95),
            Text(spark(vitals.ttft_trend), "cyan"),
            Text(", ".join(view.symptoms), "red"),
        )
    return Panel(table, border_style="bright_black", padding=(0, 1))


def _incidents(incidents: Sequence[Incident], now: float) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for incident in incidents:
        word, style = _STATE.get(incident.state, (incident.state.value, ""))
        table.add_row(
            Text(f"{word}", style),
            Text(f"{now - incident.opened_at:.0f} s", "bright_black"),
            Text(f"{incident.cause.fault} on {incident.subject}  {incident.note}", style),
        )
    return Panel(table, title="incidents", title_align="left", border_style="yellow")


def spark(values: Sequence[float | None], width: int = 30) -> str:
    """The last ``width`` values as blocks; a gap where nothing was seen."""
    shown = list(values)[-width:]
    known = [v for v in shown if v is not None]
    if not known:
        return ""
    top = max(known) or 1.0
    return "".join(
        " " if v is None else _SPARKS[min(len(_SPARKS) - 1, int(v / top * (len(_SPARKS) - 1)))]
        for v in shown
    )


def _bar(share: float, width: int = 8) -> Text:
    full = round(share * width)
    return Text.assemble(("━" * full, "green"), ("━" * (width - full), "bright_black"))


def _number(value: float | None, form: str) -> Text:
    return Text("–", "bright_black") if value is None else Text(form.format(value))


def _duration(seconds: float | None) -> Text:
    if seconds is None:
        return Text("–", "bright_black")
    return Text(f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s")
