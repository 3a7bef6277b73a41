"""YAML with its line numbers kept.

A validator reports a mistake by the path of keys that leads to it; people need the line. PyYAML's
composed nodes know both, so the document is composed once, built into plain values, and kept beside
them. Keys that stand twice are refused: YAML parsers silently keep the last, and then half of what
the user wrote is not in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from vagus.errors import ConfigError


@dataclass(frozen=True)
class Located:
    """A document's plain value, and where in the text its parts stand."""

    value: object
    node: yaml.Node | None

    def line_of(self, path: Sequence[str]) -> int:
        """The line (from 1) of the deepest part of ``path`` that exists."""
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
        return line


def load_located(text: str, *, name: str) -> Located:
    """Parse ``text`` (one document). Raises ConfigError that names file and line."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return Located({}, None)
        _refuse_double_keys(node, name)
        return Located(yaml.safe_load(text), node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"is not YAML: {error.problem}", where=where) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"is not YAML: {error}", where=name) from error


def _refuse_double_keys(node: yaml.Node, name: str) -> None:
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
                if key.value in seen:
                    raise ConfigError(
                        f"{key.value!r} stands twice (first in line {seen[key.value]})",
                        where=f"{name}:{line}",
                        mend="rename or remove one: only one of them could be in force",
                    )
                seen[str(key.value)] = line
                pending.append(value)
