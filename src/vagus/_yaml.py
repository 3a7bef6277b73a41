"""YAML with its line numbers kept, and without its surprises.

A validator reports a mistake by the path of keys that leads to it; people need the line. PyYAML's
composed nodes know both, so the document is composed once, built into plain values, and kept beside
them. Keys that stand twice are refused: YAML parsers silently keep the last, and then half of what
the user wrote is not in force.

What a bare word means follows YAML 1.2's core schema. By YAML 1.1, which PyYAML implements,
``mode: off`` says ``False``, a replica named ``no`` is another ``False``, ``2024-01-01`` is a date
and ``22:30`` is 1350; here they all are the text that was written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import yaml
from yaml.reader import ReaderError

from vagus.errors import ConfigError

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Located:
    """A document's plain value, and where in the text its parts stand."""

    value: object
    node: yaml.Node | None

    def line_of(self, path: Sequence[str]) -> int:
        """The line (from 1) of the deepest part of ``path`` that exists."""
        return self._deepest(path)[1]

    def place_in(self, path: Sequence[str], offset: int) -> tuple[int, int]:
        """Line and column (from 1) of the character ``offset`` of the text at ``path``.

        A text may be quoted, folded or indented in the document, which changes its whitespace and
        nothing else; so the characters that are not whitespace are counted.
        """
        node, line = self._deepest(path)
        if not isinstance(node, yaml.ScalarNode) or node.start_mark.buffer is None:
            return line, 1
        solid = [place for place, c in enumerate(str(node.value)) if not c.isspace()]
        wanted = sum(place < offset for place in solid)
        source: str = node.start_mark.buffer
        at, seen, past = _begin(node, source), 0, wanted == len(solid)
        while seen < wanted - past or source[at].isspace():
            seen += not source[at].isspace()
            at += 2 if _is_escape(node.style, source, at) else 1
        at += past
        return source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at)

    def _deepest(self, path: Sequence[str]) -> tuple[yaml.Node | None, int]:
        node, line = self.node, 1
        for part in path:
            if isinstance(node, yaml.MappingNode):
                found = next((kv for kv in node.value if str(kv[0].value) == part), None)
                if found is None:
                    break
                line, node = found[0].start_mark.line + 1, found[1]
            elif isinstance(node, yaml.SequenceNode) and part.isdigit():
                if int(part) >= len(node.value):
                    break
                node = node.value[int(part)]
                line = node.start_mark.line + 1
            else:
                break
        return node, line


def _begin(node: yaml.ScalarNode, source: str) -> int:
    """Where the characters of a scalar begin: after its quote, or after the line of its ``|``."""
    start: int = node.start_mark.pointer
    if node.style in ("|", ">"):
        return source.find("\n", start) + 1
    return start + (node.style in ("'", '"'))


def _is_escape(style: str | None, source: str, at: int) -> bool:
    return (style == "'" and source[at : at + 2] == "''") or (style == '"' and source[at] == "\\")


def load_located(text: str, *, name: str) -> Located:
    """Parse ``text`` (one document). Raises ConfigError that names file and line."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return Located({}, None)
            _refuse_unclear_keys(node, name)
            return Located(loader.construct_document(node), node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"is not YAML: {error.problem}", where=where) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"is not YAML: {error.reason}", where=f"{name}:{line}") from error
    except RecursionError as error:
        raise ConfigError("is nested too deeply", where=name) from error
    except ValueError as error:  # an explicit tag, or a number of thousands of digits
        raise ConfigError(f"holds a value that can't be read: {error}", where=name) from error


class _Loader(yaml.SafeLoader):
    """Plain values only: null, booleans, numbers, text, lists and mappings."""


_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), _first)
_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is None
    or tag.removeprefix(_TAG) in {"null", "bool", "int", "float", "str", "seq", "map"}
}


def _refuse_unclear_keys(node: yaml.Node, name: str) -> None:
    """Raise for a key that stands twice, and for one that is itself a list or a mapping."""
    pending, seen_nodes = [node], set[int]()
    while pending:
        current = pending.pop()
        if id(current) in seen_nodes:
            continue  # an alias
        seen_nodes.add(id(current))
        if isinstance(current, yaml.SequenceNode):
            pending.extend(current.value)
        elif isinstance(current, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in current.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise ConfigError("a key has to be plain text", where=f"{name}:{line}")
                if key.value in seen:
                    raise ConfigError(
                        f"{key.value!r} stands twice (first in line {seen[key.value]})",
                        where=f"{name}:{line}",
                        mend="rename or remove one: only one of them could be in force",
                    )
                seen[key.value] = line
                pending.append(value)
