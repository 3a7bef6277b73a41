"""Conditions in CEL, the Common Expression Language, by Google's C++ implementation.

CEL was made for this: no loops that don't end, no I/O, no side effects, and a type check before
anything runs. Only this module knows the library, behind :class:`Engine`.

**The trap.** When an evaluation goes wrong (a fact that is not there, a division by zero) the
library does not raise: it returns a value of type ERROR whose content is a message, and a message
is a string that is *true*. Code that asks ``if condition.eval(...).value()`` fails open. Here a
condition holds if its value *is* True, which only a BOOL can be, and does not hold if it *is*
False; everything else is :class:`Unanswerable`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Protocol

from cel_expr_python import cel

from vagus.policy.rule_facts import CATALOGUE, Fact

_TYPES = {str: cel.Type.STRING, int: cel.Type.INT, float: cel.Type.DOUBLE, bool: cel.Type.BOOL}
_WORDS = {"string": "text", "int": "a whole number", "double": "a decimal", "bool": "true or false"}

MAX_LENGTH = 4000  # characters of one condition; the parser recurses, and people have to read it


class BadCondition(ValueError):
    """A condition that can't be meant. ``offset`` is where, in characters of its text."""

    def __init__(self, message: str, *, offset: int = 0, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.mend = mend


class Unanswerable(ValueError):
    """A condition that can't be answered from the facts that it was given."""


class Condition(Protocol):
    """Compiled and type-checked."""

    def holds(self, facts: object) -> bool:
        """``facts`` as :meth:`Engine.bind` returned them. Raises :class:`Unanswerable`."""
        ...


class Engine(Protocol):
    """A language for conditions over the facts of the catalogue."""

    def compile(self, text: str) -> Condition:
        """Raises :class:`BadCondition`."""
        ...

    def bind(self, values: Mapping[str, Fact]) -> object:
        """The facts in the engine's own form, once for all the conditions that are asked of them.
        Raises :class:`Unanswerable`."""
        ...


class _CelCondition:
    def __init__(self, expression: cel.Expression) -> None:
        self._expression = expression

    def holds(self, facts: object) -> bool:
        try:
            value = self._expression.eval(facts).value()
        except (RuntimeError, ValueError, TypeError) as error:
            raise Unanswerable(str(error)) from error
        # By identity, never by truth: an ERROR counts as true, and only a BOOL is it.
        if value is True or value is False:
            return bool(value)
        raise Unanswerable(_explained(str(value)))


class Cel:
    def __init__(self) -> None:
        variables = {name: _TYPES[fact.kind] for name, fact in CATALOGUE.items()}
        self._env = cel.NewEnv(variables=variables)

    def compile(self, text: str) -> Condition:
        if len(text) > MAX_LENGTH:
            raise BadCondition(f"is longer than {MAX_LENGTH} characters", mend="split it")
        try:
            expression = self._env.compile(text)
        except RuntimeError as error:
            raise _bad(str(error), text) from error
        kind = expression.return_type()
        if kind != cel.Type.BOOL:
            name = kind.name().lower()
            raise BadCondition(
                f"is {_WORDS.get(name, name)}, and a condition is true or false",
                mend="compare it with something",
            )
        return _CelCondition(expression)

    def bind(self, values: Mapping[str, Fact]) -> object:
        try:
            return self._env.Activation(dict(values))
        except (RuntimeError, ValueError, TypeError) as error:
            raise Unanswerable(str(error)) from error


def _bad(said: str, text: str) -> BadCondition:
    """The library's first complaint, in our words."""
    found = re.search(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)", said)
    if found is None:
        nested = "recursion limit" in said
        return BadCondition("is nested too deeply" if nested else said.partition("\n")[0])
    line, column, message = int(found[1]), int(found[2]), found[3]
    lines = text.splitlines(keepends=True)
    offset = min(sum(map(len, lines[: line - 1])) + max(column - 1, 0), len(text))
    if undeclared := re.search(r"undeclared reference to '([^']*)'", message):
        return BadCondition(f"unknown fact {undeclared[1]!r}", offset=offset,
                            mend=_meant(undeclared[1]))  # fmt: skip
    if overload := re.search(r"no matching overload for '([^']*)' applied to '(.*)'", message):
        name = overload[1].strip("_@").replace("_", "") or overload[1]
        mend = "a decimal is compared with a decimal: write 1.0" if "double" in overload[2] else ""
        return BadCondition(f"{name!r} can't be applied to {overload[2]}", offset=offset, mend=mend)
    message = re.sub(r",? expecting \{.*$", "", message).replace("<EOF>", "the end")
    return BadCondition(message[:1].lower() + message[1:], offset=offset)


def _meant(name: str) -> str:
    near = difflib.get_close_matches(name, CATALOGUE, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(CATALOGUE)}"


def _explained(said: str) -> str:
    if missing := re.search(r'No value with name "([^"]*)"', said):
        name = missing[1]
        fact = CATALOGUE.get(name)
        known = f"{name}_known"
        if fact is not None and known in CATALOGUE:
            return f"{name} is not known (ask {known} first)"
        return f"it was not told {name}"
    return said.partition(": ")[2] or said
