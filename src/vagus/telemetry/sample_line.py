"""One sample line of an exposition, read by the book.

The grammar of Prometheus's text format 0.0.4, with what OpenMetrics 1.0 and Prometheus 3 add:
exemplars, and names of any characters in quotes. It is the full parser that the fast one falls
back on, so it is right first; a line comes here once and is remembered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_QUOTED = r'"((?:[^"\\\n]|\\.)*)"'
_TERM = re.compile(rf"\s*(?:([a-zA-Z_][a-zA-Z0-9_]*)|{_QUOTED})\s*(?:=\s*{_QUOTED}\s*)?(,|(?=\}}))")
_END = re.compile(r"[\s,]*\}")
_ESCAPE = re.compile(r'\\([\\n"])')
_ESCAPED = {"n": "\n", "\\": "\\", '"': '"'}


@dataclass(frozen=True, slots=True)
class Series:
    """A metric's name with its labels, sorted by name."""

    name: str
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """``prefix`` is how the line begins, up to where its value does; ``plain`` if nothing follows
    the value, neither timestamp nor exemplar."""

    series: Series
    value: float
    prefix: str
    plain: bool


def read_sample(line: str) -> Sample:
    """Raises ValueError for what is not a sample line."""
    found = _NAME.match(line)
    name = found[0] if found else ""
    at = found.end() if found else 0
    brace = at + len(line[at:]) - len(line[at:].lstrip())
    labels: dict[str, str] = {}
    if line[brace : brace + 1] == "{":
        name, at = _read_braces(line, brace + 1, name, labels)
    elif line[at : at + 1] not in (" ", "\t"):
        raise ValueError("a name and a value are expected")
    if not name:
        raise ValueError("has no name")
    rest = line[at:]
    prefix = line[: at + len(rest) - len(rest.lstrip())]
    value, more = read_value(rest)
    return Sample(Series(name, tuple(sorted(labels.items()))), value, prefix, not more)


def _read_braces(line: str, at: int, name: str, labels: dict[str, str]) -> tuple[str, int]:
    """The labels from ``at`` on, into ``labels``; the name, and where the braces end."""
    while (end := _END.match(line, at)) is None:
        term = _TERM.match(line, at)
        if term is None:
            raise ValueError('labels are not name="value", or don\'t end')
        bare, quoted, value = term[1], term[2], term[3]
        key = bare if bare is not None else _unescaped(quoted)
        if value is None:
            # A quoted name in the place of a label: the metric's own.
            if bare is not None or name:
                raise ValueError(f"label {key!r} has no value")
            name = key
        elif key in labels:
            raise ValueError(f"label {key!r} stands twice")
        else:
            labels[key] = _unescaped(value)
        at = term.end()
    return name, end.end()


def read_value(rest: str) -> tuple[float, bool]:
    """What stands behind name and labels: the number, and whether anything follows it.

    Raises ValueError for anything but a number, a timestamp and an exemplar in this order.
    """
    tokens = rest.split(None, 2)
    if not tokens:
        raise ValueError("has no value")
    value = number(tokens[0])
    if len(tokens) > 1 and tokens[1] != "#":
        number(tokens[1])
        if len(tokens) > 2 and not tokens[2].startswith("# "):
            raise ValueError("something follows the timestamp")
    return value, len(tokens) > 1


def number(text: str) -> float:
    """Raises ValueError; Python's own underscores in numbers are not the format's."""
    if "_" in text:
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda found: _ESCAPED[found[1]], text)
