"""What the user is told when a document does not fit its types.

Pydantic finds every mistake and speaks of Python; the user wrote YAML and mends one line at a time.
So one mistake is told, the one that explains the others, with its line and what would be right.
"""

from __future__ import annotations

from pathlib import PurePath

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from vagus._yaml import Located
from vagus.errors import ConfigError


class Misfit(ValueError):
    """Two parts that are right by themselves and don't go together; ``path`` leads to the second.

    Pydantic gives a validator of the whole no way to name the part, so the error carries it.
    """

    def __init__(self, message: str, *path: str) -> None:
        super().__init__(message)
        self.path = path


_SAID = {
    "missing": "is missing",
    "string_type": "has to be text: put it into quotes if it looks like a number",
    "tuple_type": "has to be a list: [...]",
    "dict_type": "has to be a mapping: {name: ...}",
    "model_type": "has to be a mapping: {key: ...}",
}
"""Pydantic's words for these are about Python, which is not what the user wrote."""


def first_mistake(
    error: ValidationError, root: type[BaseModel], document: Located, name: str
) -> ConfigError:
    """The one line for the user. A mistyped key comes first: what it was meant for is missing."""
    mistakes = sorted(error.errors(), key=lambda m: m["type"] != "extra_forbidden")
    first = mistakes[0]
    where = [str(part) for part in first["loc"] if part != "[key]"]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, Misfit):
        where += cause.path
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    place = f"{name}:{document.line_of(where)}"
    if first["type"] == "extra_forbidden":
        known = ", ".join(_siblings(root, where[:-1])) or "none"
        text = f"unknown key {where[-1]!r} in {'.'.join(where[:-1]) or PurePath(name).name}"
        return ConfigError(text + more, where=place, mend=f"known keys here: {known}")
    said = _SAID.get(first["type"]) or str(cause or first["msg"])
    key = ".".join(where)
    return ConfigError(f"{key}: {said}{more}" if key else said + more, where=place)


def _siblings(model: type[BaseModel], where: list[str]) -> list[str]:
    """The keys that are known at ``where``, for an error's mend."""
    for part in where:
        field = _fields(model).get(part)
        if field is None:
            continue  # a name that the user chose
        found = _model_in(field.annotation)
        if found is None:
            return []
        model = found
    return sorted(_fields(model))


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """By the names by which they are written."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
