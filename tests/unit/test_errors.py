"""Errors for users: one line, a place, a mend, and a tree that is drawn as it is."""

from __future__ import annotations

import re

import pytest

from vagus import errors
from vagus.errors import ConfigError, MissingExtra, VagusError


def test_an_error_reads_as_one_line() -> None:
    error = ConfigError("unknown key 'mod'", where="vagus.yaml:3", mend="known keys: mode")
    assert str(error) == "vagus.yaml:3: unknown key 'mod' (known keys: mode)"
    assert str(VagusError("it broke")) == "it broke"


def test_a_missing_extra_says_how_to_get_it() -> None:
    assert "pip install 'vagus[lab]'" in str(MissingExtra("lab", "xllamacpp"))


def test_each_error_can_be_raised_and_caught_as_ours() -> None:
    for kind in _all_errors():
        with pytest.raises(VagusError):
            raise MissingExtra("lab", "x") if kind is MissingExtra else kind("message")
        assert 1 <= kind.exit_code < 126, "shells use 126 and above for themselves"


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    """Every class stands in the drawing, under its base."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│ ├└─]*)([A-Z]\w+)\s", line)
        if found and found[2] in vars(errors):
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            drawn[found[2]] = path[depth - 1] if depth else "Exception"
    assert drawn == {kind.__name__: kind.__mro__[1].__name__ for kind in _all_errors()}


def _all_errors() -> list[type[VagusError]]:
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, VagusError)
    ]
