"""What experiments showed, for a manager, an engineer and a build server.

One list of results becomes figures, a page that needs nothing beside itself, and JUnit's XML. The
shares are of the experiments that can say something: those that were conclusive, and of these the
ones that were meant to be detected and healed.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import quoteattr

from vagus.chaos.result import Result, Verdict

_MARKS = ("first_symptom", "detected", "authorised", "acted", "verified", "recovered")
_GOOD, _BAD, _MUTE = "#2e7d32", "#c62828", "#757575"


def figures(results: Sequence[Result], healable: Mapping[str, bool]) -> dict[str, object]:
    """``healable``: by intent, whether it was meant to be detected and healed. A share of nothing
    is None."""
    said = [r for r in results if r.verdict.conclusive]
    meant = [r for r in said if healable.get(r.intent, True)]
    detected = [r for r in meant if r.timeline.detected is not None]
    return {
        "faults": len({r.fault for r in results if r.injected_at is not None}),
        "detected_share": _share(len(detected), len(meant)),
        "healed_share": _share(sum(r.timeline.recovered is not None for r in meant), len(meant)),
        "diagnosed_share": _share(
            sum(r.diagnosed_rightly is True for r in detected), len(detected)
        ),
        "harmed_elsewhere": sum(bool(r.harmed_elsewhere) for r in results),
    }


def changed(before: Sequence[Result], after: Sequence[Result]) -> tuple[str, ...]:
    """What is otherwise than it was: by intent, the last verdict of each."""
    old = {result.intent: result for result in before}
    new = {result.intent: result for result in after}
    lines = []
    for name, result in new.items():
        if name not in old:
            lines.append(f"{name}: {result.verdict.value}, for the first time")
        elif old[name].verdict is not result.verdict:
            lines.append(f"{name}: {old[name].verdict.value} before, {result.verdict.value} now")
    lines += [f"{name}: was not tried again" for name in old if name not in new]
    return tuple(lines)


def page(
    results: Sequence[Result],
    healable: Mapping[str, bool],
    *,
    notes: Sequence[str] = (),
    changes: Sequence[str] = (),
) -> str:
    """A page of HTML that loads nothing."""
    return "".join(_page(results, healable, notes, changes))


def junit(results: Sequence[Result]) -> str:
    """As build servers read it: a test case for each experiment; what said nothing is skipped."""
    failures = sum(r.verdict is Verdict.DEVIATED for r in results)
    errors = sum(r.verdict is Verdict.ERROR for r in results)
    skipped = len(results) - failures - errors - sum(r.verdict is Verdict.PASSED for r in results)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name="vagus chaos" tests="{len(results)}" failures="{failures}" '
        f'errors="{errors}" skipped="{skipped}">',
    ]
    for result in results:
        case = (
            f"<testcase classname={_attribute(result.intent)} "
            f"name={_attribute(f'{result.fault} on {result.subject} ({result.experiment})')} "
            f'time="{result.ended_at - result.began_at:.3f}">'
        )
        lines.append(f"  {case}{_outcome(result)}</testcase>")
    return "\n".join([*lines, "</testsuite>", ""])


def _outcome(result: Result) -> str:
    said = _attribute(f"{result.verdict.value}: {result.because}")
    match result.verdict:
        case Verdict.PASSED:
            return ""
        case Verdict.DEVIATED:
            return f"<failure message={said}/>"
        case Verdict.ERROR:
            return f"<error message={said}/>"
        case _:
            return f"<skipped message={said}/>"


def _attribute(text: str) -> str:
    """Quoted, without what XML can't hold."""
    return quoteattr("".join(c if c.isprintable() else " " for c in text))


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid #ddd;vertical-align:top}h1{font-size:1.5rem}h2{font-size:1.15rem}
.big{font-size:1.6rem}.figures td{border:0}small{color:#666}svg text{font:11px system-ui,sans-serif}
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}td,th{border-color:#333}
svg text{fill:#ccc}}
"""


def _page(
    results: Sequence[Result],
    healable: Mapping[str, bool],
    notes: Sequence[str],
    changes: Sequence[str],
) -> Iterator[str]:
    shown = figures(results, healable)
    passed = sum(r.verdict is Verdict.PASSED for r in results)
    yield (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Chaos report</title><style>{_STYLE}</style><h1>What was broken on purpose</h1>"
        f"<p>{passed} of {len(results)} experiments passed"
        f"{f', {_span(results)}' if results else ''}.</p>"
    )
    yield "<table class=figures><tr>"
    for title, key in (
        ("detected", "detected_share"),
        ("healed", "healed_share"),
        ("diagnosed rightly", "diagnosed_share"),
    ):
        yield f"<td><span class=big>{_percent(shown[key])}</span><br>{title}</td>"
    yield f"<td><span class=big>{shown['faults']}</span><br>different faults</td>"
    yield f"<td><span class=big>{shown['harmed_elsewhere']}</span><br>harmed another part</td>"
    yield "</tr></table>"
    yield from _list("Notes", notes)
    yield from _list("What changed", changes)
    yield "<h2>Experiments</h2><table><tr><th>intent<th>fault<th>verdict<th>course</tr>"
    for result in results:
        yield from _row(result)
    yield (
        "</table><p><small>Shares are of conclusive experiments. Times are seconds from the "
        "injection, by the entries of Vagus's ledger; requests are counted where Vagus saw them "
        "pass.</small></p></html>\n"
    )


def _row(result: Result) -> Iterator[str]:
    colour = {Verdict.PASSED: _GOOD, Verdict.DEVIATED: _BAD}.get(result.verdict, _MUTE)
    yield (
        f"<tr><td>{html.escape(result.intent)}<br><small>{html.escape(result.experiment)}</small>"
        f"<td>{html.escape(result.does)}"
        f'<td><b style="color:{colour}">{result.verdict.value}</b><br>'
        f"{html.escape(result.because)}<td>{_course(result)}"
    )
    if result.diagnosis:
        yield f"<small>diagnosed: {html.escape(result.diagnosis)}</small><br>"
    if result.remedies:
        yield f"<small>acted: {html.escape(', '.join(result.remedies))}</small><br>"
    for name, damage in result.damage.items():
        if damage.failed:
            yield (
                f"<small>{html.escape(name)}: {damage.failed:.0f} of {damage.requests:.0f} "
                "requests failed</small><br>"
            )
    yield "</tr>"


def _course(result: Result) -> str:
    """A line of time with its marks, as SVG."""
    times = {mark: at for mark in _MARKS if (at := getattr(result.timeline, mark)) is not None}
    if not times:
        return ""
    width, last = 420.0, max(*times.values(), 1e-9)
    parts = [
        f'<svg width="{width + 20:.0f}" height="{14 * len(times) + 22}" role="img">',
        f'<line x1="10" y1="10" x2="{width + 10:.0f}" y2="10" stroke="#999"/>',
    ]
    for row, (mark, at) in enumerate(times.items()):
        x = 10 + width * at / last
        anchor = "end" if x > width / 2 else "start"
        parts.append(
            f'<circle cx="{x:.1f}" cy="10" r="4" fill="{_GOOD}"/>'
            f'<text x="{x:.1f}" y="{28 + 14 * row}" text-anchor="{anchor}">'
            f"{mark.replace('_', ' ')} {at:.1f} s</text>"
        )
    return "".join([*parts, "</svg>"])


def _list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        items = "".join(f"<li>{html.escape(line)}" for line in lines)
        yield f"<h2>{title}</h2><ul>{items}</ul>"


def _span(results: Sequence[Result]) -> str:
    first = datetime.fromtimestamp(results[0].began_at, UTC)
    last = datetime.fromtimestamp(results[-1].ended_at, UTC)
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


def _percent(share: object) -> str:
    return f"{share:.0%}" if isinstance(share, float) else "–"
