"""The file of operators' rules, as it is written::

    timezone: Europe/Vienna          # of hour, weekday and date; UTC unless given
    rules:
      - name: no-restarts-at-night
        when: action == 'restart' && (hour >= 22 || hour < 6)
        then: deny                   # or allow, {raise: R3}, {ask: {approvers: 2, group: dba}}
        because: nobody is there who could help

What is looked at here is the form; what a condition means is the engine's to say. Both kinds of
mistakes end alike: one line with the file, the line and the column, and the mend.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from vagus._mistakes import Misfit, first_mistake
from vagus._yaml import Located, load_located
from vagus.config import Name
from vagus.errors import ConfigError

_WORDS = ("deny", "allow")
_VERDICTS = "deny, allow, {raise: R3} or {ask: {approvers: 1, group: NAME}}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AskPeople(_Strict):
    """So many people must say yes."""

    approvers: int = Field(1, ge=1, le=20, description="how many distinct people")
    group: Name | None = Field(None, description="of `policy.approvers`; none: any approver")


class Then(_Strict):
    """What follows if the condition holds: exactly one of these."""

    deny: bool = False
    allow: bool = False
    raise_to: Literal["R1", "R2", "R3", "R4", "R5"] | None = Field(None, alias="raise")
    ask: AskPeople | None = None

    @model_validator(mode="before")
    @classmethod
    def _word(cls, written: object) -> object:
        if not isinstance(written, str):
            return written
        if written not in _WORDS:
            raise ValueError(f"{written!r} is no verdict: write {_VERDICTS}")
        return {written: True}

    @model_validator(mode="after")
    def _is_one(self) -> Then:
        if sum((self.deny, self.allow, self.raise_to is not None, self.ask is not None)) != 1:
            raise ValueError(f"say one thing: {_VERDICTS}")
        return self

    def goes_with(self, other: Then) -> bool:
        """Whether both can be meant for the same condition: only if both have an effect."""
        if self.ask and other.ask:
            return self.ask.group != other.ask.group
        return bool((self.ask and other.raise_to) or (self.raise_to and other.ask))


class WrittenRule(_Strict):
    """One rule."""

    name: Name = Field(description="what it is called in the ledger, and by people")
    when: str = Field(min_length=1, description="a condition in CEL over the facts")
    then: Then = Field(description=_VERDICTS)
    because: str = Field(min_length=1, description="said to whoever is refused or asked")


class RuleFile(_Strict):
    """The whole file."""

    timezone: str = Field("UTC", description="of hour, weekday and date")
    rules: tuple[WrittenRule, ...] = Field(strict=False, description="all are asked, in order")

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is no timezone that this machine knows") from error
        return name

    @model_validator(mode="after")
    def _agree(self) -> RuleFile:
        names: dict[str, int] = {}
        for index, rule in enumerate(self.rules):
            if rule.name in names:
                raise Misfit(f"{rule.name!r} is the name of another rule too", "rules", str(index))
            names[rule.name] = index
            for earlier in self.rules[:index]:
                same = _essence(earlier.when) == _essence(rule.when)
                if same and not earlier.then.goes_with(rule.then):
                    raise Misfit(
                        f"{earlier.name!r} has the same condition, and only one of the two can be "
                        "meant: remove one, or tell their conditions apart",
                        *("rules", str(index), "when"),
                    )
        return self

    def canonical(self) -> str:
        """The same text for files that say the same."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def parse_rule_file(text: str, *, name: str) -> tuple[RuleFile, Located]:
    """What is written, and where. Raises ConfigError."""
    document = load_located(text, name=name)
    if not isinstance(document.value, Mapping):
        raise ConfigError("is not a mapping", where=name, mend="start with 'rules:'")
    try:
        return RuleFile.model_validate(document.value), document
    except ValidationError as error:
        raise first_mistake(error, RuleFile, document, name) from error


def _essence(condition: str) -> str:
    """A condition without the whitespace that means nothing."""
    return re.sub(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\s+""", r"\1", condition)
