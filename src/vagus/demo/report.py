"""The demo's report: one HTML file that needs nothing else, not even a script.

The chart is drawn here as SVG: time to first token of every request and its p95, failures along the
bottom, and for each fault the marks of its story. It prints well, and it opens in ten years.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from vagus.demo.result import DemoResult, FaultResult, RequestSeen

_Scale = Callable[[float], float]

_WIDTH, _HEIGHT = 1120, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 46, 44
_WINDOW = 8.0  # s over which the p95 is taken
_MARKS = (
    ("fault", "#c0392b"),
    ("detected", "#e08e0b"),
    ("contained", "#2471a3"),
    ("healed", "#1e8449"),
)

_STYLE = """
:root { color-scheme: light dark; --ink:#1c2530; --dim:#5d6d7e; --line:#d5dbe1; --back:#fff;
        --card:#f6f8fa; --good:#1e8449; --bad:#c0392b; --curve:#34495e; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6edf3; --dim:#8b98a5; --line:#303a45;
        --back:#0f141a; --card:#171e26; --good:#3fb873; --bad:#f06a5a; --curve:#c8d3df; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back);
       max-width: 1160px; margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; }
p.lead { color: var(--dim); margin: 0 0 1.4rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .38rem .7rem; border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: 600; } th:first-child, td:first-child,
td.text, th.text { text-align: left; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
svg { width: 100%; height: auto; background: var(--card); border-radius: 8px; }
svg text { fill: var(--dim); font: 11px system-ui, sans-serif; }
details { border-bottom: 1px solid var(--line); padding: .5rem 0; } summary { cursor: pointer; }
ol { list-style: none; margin: .5rem 0 .3rem; padding: 0; }
li { display: flex; gap: 1rem; } li b { flex: 0 0 4.5rem; text-align: right; font-weight: 400;
     color: var(--dim); font-variant-numeric: tabular-nums; }
"""


def render(result: DemoResult) -> str:
    """The whole report as an HTML document."""
    when = datetime.fromtimestamp(result.began, UTC).strftime("%Y-%m-%d %H:%M UTC")
    verdict = f"{result.healed} of {len(result.faults)} faults healed"
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>Vagus demo: {verdict}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{verdict}</h1><p class='lead'>A real stack on one machine, {when}, mode "
        f"{html.escape(result.mode)}, {len(result.requests)} requests. Times are seconds from the "
        "injection of the fault.</p>"
        f"{_chart(result)}<h2>Faults</h2>{_table(result.faults)}"
        f"<h2>What Vagus did</h2>{''.join(_story(fault) for fault in result.faults)}"
        "</body></html>\n"
    )


def _table(faults: Sequence[FaultResult]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(f.title)}</td><td class='text'>{html.escape(f.replica)}</td>"
        f"<td>{_seconds(f.detected_s)}</td><td>{_seconds(f.safe_s)}</td>"
        f"<td>{_seconds(f.healed_s)}</td><td>{f.failed} of {f.requests}</td><td>{f.slow}</td>"
        f"<td class='text'>{html.escape(', '.join(f.actions))}</td>"
        f"<td class='text {'good' if f.healed else 'bad'}'>{'healed' if f.healed else 'not'}</td>"
        "</tr>"
        for f in faults
    )
    return (
        "<table><tr><th>fault</th><th class='text'>replica</th><th>detected</th>"
        "<th>traffic safe</th><th>healed</th><th>requests failed</th><th>slow</th>"
        f"<th class='text'>actions</th><th></th></tr>{rows}</table>"
    )


def _story(fault: FaultResult) -> str:
    lines = "".join(
        f"<li><b>{at:+.2f} s</b><span>{html.escape(text)}</span></li>" for at, text in fault.story
    )
    head = html.escape(f"{fault.title} ({fault.replica})")
    return f"<details open><summary>{head}</summary><ol>{lines}</ol></details>"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def _chart(result: DemoResult) -> str:
    answered = [r for r in result.requests if r.first_token is not None]
    end = max([r.asked for r in result.requests] + [f.injected + 5 for f in result.faults] + [1.0])
    top = _nice(max([r.first_token or 0.0 for r in answered] + [0.5]))

    def x(at: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * at / end

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(value, top) / top

    parts = [*_grid(x, y, end, top)]
    parts += [
        f"<circle cx='{x(r.asked):.1f}' cy='{y(r.first_token or 0):.1f}' r='1.8' "
        "fill='var(--dim)' opacity='.55'/>"
        for r in answered
    ]
    curve = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in _p95(answered, end))
    parts.append(
        f"<polyline points='{curve}' fill='none' stroke='var(--curve)' stroke-width='1.8'/>"
    )
    floor = _HEIGHT - _BOTTOM
    parts += [
        f"<path d='M{x(r.asked):.1f} {floor}v-9' stroke='var(--bad)' stroke-width='2'>"
        f"<title>{html.escape(r.failed)}</title></path>"
        for r in result.requests
        if r.failed
    ]
    for fault in result.faults:
        parts += _marks(fault, x)
    parts.append(_legend())
    return (
        f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='Time to first token over "
        f"the demo, with failures and the marks of each fault'>{''.join(parts)}</svg>"
    )


def _grid(x: _Scale, y: _Scale, end: float, top: float) -> Iterable[str]:
    for i in range(5):
        value = top * i / 4
        yield (
            f"<path d='M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}' stroke='var(--line)'/>"
            f"<text x='{_LEFT - 6}' y='{y(value) + 4:.1f}' text-anchor='end'>{value:.2g} s</text>"
        )
    step = max(10, math.ceil(end / 12 / 10) * 10)
    for second in range(0, int(end) + 1, step):
        yield (
            f"<text x='{x(second):.1f}' y='{_HEIGHT - _BOTTOM + 16}' text-anchor='middle'>"
            f"{second} s</text>"
        )


def _marks(fault: FaultResult, x: _Scale) -> Iterable[str]:
    moments = (0.0, fault.detected_s, fault.safe_s, fault.healed_s)
    start = x(fault.injected)
    if fault.healed_s is not None:
        width = x(fault.injected + fault.healed_s) - start
        yield (
            f"<rect x='{start:.1f}' y='{_TOP}' width='{width:.1f}' "
            f"height='{_HEIGHT - _TOP - _BOTTOM}' fill='var(--dim)' opacity='.08'/>"
        )
    yield f"<text x='{start + 3:.1f}' y='{_TOP - 6}'>{html.escape(fault.fault)}</text>"
    for (name, colour), moment in zip(_MARKS, moments, strict=True):
        if moment is not None:
            at = x(fault.injected + moment)
            yield (
                f"<path d='M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}' stroke='{colour}' "
                f"stroke-width='1.5'><title>{name} after {moment:.2f} s</title></path>"
            )


def _legend() -> str:
    parts, at = [], _LEFT
    entries = [*_MARKS, ("p95 of time to first token", "var(--curve)"), ("failed", "var(--bad)")]
    for name, colour in entries:
        parts.append(
            f"<path d='M{at} {_HEIGHT - 12}h16' stroke='{colour}' stroke-width='3'/>"
            f"<text x='{at + 21}' y='{_HEIGHT - 8}'>{name}</text>"
        )
        at += 42 + 7 * len(name)
    return "".join(parts)


def _p95(answered: Sequence[RequestSeen], end: float) -> Iterable[tuple[float, float]]:
    """(s, p95 of the last ``_WINDOW`` s) for every second that has an answer in its window."""
    for second in range(1, int(end) + 1):
        window = sorted(
            r.first_token
            for r in answered
            if r.first_token is not None and second - _WINDOW < r.asked <= second
        )
        if window:
            yield float(second), window[math.ceil(0.95 * len(window)) - 1]


def _nice(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * m for m in (1, 2, 5, 10) if value <= power * m)
