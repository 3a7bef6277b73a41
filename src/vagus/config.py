"""``vagus.yaml`` -> typed settings.

This file is the public contract: whatever it accepts is documented by the JSON Schema made from it
(``vagus check-config --schema``), and whatever it refuses is refused with one line that names the
file, the line and the mend. Nothing here opens a socket or a database; ``vagus check-config`` must
be safe to run anywhere.

Relative paths are relative to the file, so that a configuration can be moved with what it names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from vagus._yaml import Located, load_located
from vagus.errors import ConfigError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*$")
_SHARE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*%\s*$")
_BUDGET = re.compile(r"^\s*(\S+)\s+per\s+(\S+)\s*$")
_ALARMS = re.compile(r"^\s*(\d+)\s+per\s+(hour|day|week|month)\s*$")
_PERIODS = {"hour": 3600.0, "day": 86400.0, "week": 604800.0, "month": 30 * 86400.0}


def _duration(value: object) -> object:
    if isinstance(value, str):
        found = _DURATION.match(value)
        if not found:
            raise ValueError(f"{value!r} is not a duration: write it as 500ms, 3s, 10m, 2h or 30d")
        return float(found[1]) * _UNITS[found[2]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a duration is written as 500ms, 3s, 10m, 2h or 30d")
    if value != 0:
        raise ValueError(f"{value} has no unit: write it as {value}s, {value}m or {value}h")
    return 0.0


def _share(value: object) -> object:
    if isinstance(value, str):
        found = _SHARE.match(value)
        if not found:
            raise ValueError(f"{value!r} is not a share: write it as 50%")
        value = float(found[1]) / 100
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("a share is written as a percentage from 0% to 100%")
    return float(value)


def _address(value: str) -> str:
    parts = urlsplit(value)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{value!r} has a port that is not a number from 1 to 65535") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
        raise ValueError(f"{value!r} is not an address: write it as http://host:port")
    if parts.username or parts.password:
        raise ValueError("credentials don't belong in an address: they would end up in logs")
    return value.rstrip("/")


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", value):
        raise ValueError(f"{value!r} is not a name: use a-z, 0-9, '.', '_' and '-'")
    return value


Duration = Annotated[
    float, BeforeValidator(_duration), WithJsonSchema({"type": "string", "examples": ["3s", "10m"]})
]
Share = Annotated[
    float, BeforeValidator(_share), WithJsonSchema({"type": "string", "examples": ["50%"]})
]
Address = Annotated[str, AfterValidator(_address)]
Name = Annotated[str, AfterValidator(_name)]


class _Strict(BaseModel):
    """Unknown keys are mistakes, and settings do not change once they are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Kind(StrEnum):
    MODEL_SERVER = "model-server"
    EMBEDDING_SERVER = "embedding-server"
    VECTOR_STORE = "vector-store"
    CACHE = "cache"
    PIPELINE = "pipeline"


class ProcessRuntime(_Strict):
    """A process supervisor with a small HTTP API on loopback."""

    supervisor: Address
    token_file: Path | None = None


class RuntimeSettings(_Strict):
    """Who can start and stop the replicas of a component."""

    process: ProcessRuntime


class Component(_Strict):
    kind: Kind
    engine: str = "generic"
    replicas: dict[Name, Address] = Field(default_factory=dict)
    runtime: RuntimeSettings | None = None
    depends_on: tuple[Name, ...] = ()
    metrics_path: str = "/metrics"
    model: str | None = Field(None, description="model name that probes ask for")
    dsn_env: str | None = Field(None, description="environment variable that holds the DSN")
    collections: tuple[str, ...] = ()


class EnvoySettings(_Strict):
    """Envoy, steered by the endpoint files that Vagus renames into ``dir``."""

    admin: Address
    dir: Path
    access_log: Path | None = None


class GatewaySettings(_Strict):
    envoy: EnvoySettings


class Objective(_Strict):
    subject: Name
    signal: str
    at_most: Share
    over: Duration


class Mode(StrEnum):
    OFF = "off"
    SHADOW = "shadow"
    SUGGEST = "suggest"
    AUTO = "auto"


class Rate(_Strict):
    """So many in such a time."""

    count: float
    period: float


def _alarms(value: object) -> object:
    found = _ALARMS.match(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("a false-alarm budget is written as '1 per week' (hour, day, week, month)")
    return {"count": float(found[1]), "period": _PERIODS[found[2]]}


def _budget(value: object) -> object:
    found = _BUDGET.match(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("a budget of actions is written as '10% per 10m'")
    return {"count": _share(found[1]), "period": _duration(found[2])}


AlarmBudget = Annotated[
    Rate, BeforeValidator(_alarms), WithJsonSchema({"type": "string", "examples": ["1 per week"]})
]
ActionBudget = Annotated[
    Rate, BeforeValidator(_budget), WithJsonSchema({"type": "string", "examples": ["10% per 10m"]})
]


class PolicySettings(_Strict):
    floor: Share = Field(0.5, description="share of a component's capacity that stays in traffic")
    budget: ActionBudget = Field(
        default_factory=lambda: Rate(count=0.1, period=600.0),
        description="share of a component's replicas that may be acted upon in a time; "
        "at least one replica always may",
    )
    cooldown: Duration = Field(60.0, description="between two treatments of one replica; doubles")
    kill_switch: Path = Field(
        Path("vagus.stop"), description="while this file exists nothing is acted upon"
    )
    production: bool = False


class HealingSettings(_Strict):
    """How patiently it is verified that something healed."""

    hold: Duration = Field(5.0, description="how long the evidence of health must hold")
    timeout: Duration = Field(60.0, description="until a treatment counts as unchanged")
    return_steps: tuple[Share, ...] = (0.25, 1.0)
    return_hold: Duration = Field(5.0, description="watching callers at each step of the return")
    containment: Duration = Field(3600.0, description="an override expires after this")

    @model_validator(mode="after")
    def _steps_rise_to_all(self) -> HealingSettings:
        if not self.return_steps or self.return_steps[-1] != 1.0:
            raise ValueError("return_steps must end with 100%")
        if list(self.return_steps) != sorted(set(self.return_steps)) or self.return_steps[0] <= 0:
            raise ValueError("return_steps must rise, from above 0% to 100%")
        return self


class TelemetrySettings(_Strict):
    interval: Duration = Field(1.0, description="between two scrapes of a target: the grid")
    timeout: Duration = Field(2.0, description="until a silent target counts as missing")
    probe_interval: Duration = Field(10.0, description="between two probes of a healthy replica")
    probe_interval_suspect: Duration = Field(0.5, description="the same while it is suspect")
    history: Path | None = Field(None, description="folder of recordings for replay")


class ApiSettings(_Strict):
    """Where Vagus serves its own ``/metrics`` and ``/healthz``."""

    host: Literal["127.0.0.1", "::1", "localhost"] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9190


class Settings(_Strict):
    """All of ``vagus.yaml``."""

    stack: dict[Name, Component]
    gateway: GatewaySettings | None = None
    objectives: tuple[Objective, ...] = ()
    false_alarms: AlarmBudget = Field(
        default_factory=lambda: Rate(count=1.0, period=_PERIODS["week"])
    )
    mode: Mode = Mode.SHADOW
    policy: PolicySettings = Field(default_factory=PolicySettings)
    healing: HealingSettings = Field(default_factory=HealingSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    state: str = "sqlite:///vagus.db"
    heartbeat: Path | None = Field(None, description="touched every second while the loop runs")
    notify: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_fit_together(self) -> Settings:
        if not self.stack:
            raise ValueError("stack is empty: name at least one component")
        owner: dict[str, str] = {}
        for component, spec in self.stack.items():
            for replica in spec.replicas:
                if replica in owner:
                    raise ValueError(
                        f"replica {replica!r} is in {owner[replica]!r} and in {component!r}: "
                        "a replica's name is its identity, so give each its own"
                    )
                owner[replica] = component
            for other in spec.depends_on:
                if other not in self.stack:
                    raise ValueError(
                        f"{component!r} depends on {other!r}, which is not in stack "
                        f"(there are: {', '.join(sorted(self.stack))})"
                    )
        for objective in self.objectives:
            if objective.subject not in self.stack:
                raise ValueError(f"objective for {objective.subject!r}, which is not in stack")
        return self

    def resolved(self, folder: Path) -> Settings:
        """The same with every path made absolute, relative ones from ``folder``."""

        def absolute(path: Path) -> Path:
            return path if path.is_absolute() else folder / path

        stack = {}
        for name, spec in self.stack.items():
            runtime = spec.runtime
            if runtime is not None and runtime.process.token_file is not None:
                token_file = absolute(runtime.process.token_file)
                process = runtime.process.model_copy(update={"token_file": token_file})
                runtime = runtime.model_copy(update={"process": process})
            stack[name] = spec.model_copy(update={"runtime": runtime})
        gateway = self.gateway
        if gateway is not None:
            envoy = gateway.envoy
            paths = {"dir": absolute(envoy.dir)}
            if envoy.access_log is not None:
                paths["access_log"] = absolute(envoy.access_log)
            gateway = gateway.model_copy(update={"envoy": envoy.model_copy(update=paths)})
        kill_switch = absolute(self.policy.kill_switch)
        changes: dict[str, object] = {
            "stack": stack,
            "gateway": gateway,
            "policy": self.policy.model_copy(update={"kill_switch": kill_switch}),
        }
        if self.heartbeat is not None:
            changes["heartbeat"] = absolute(self.heartbeat)
        if self.telemetry.history is not None:
            history = absolute(self.telemetry.history)
            changes["telemetry"] = self.telemetry.model_copy(update={"history": history})
        prefix = "sqlite:///"
        if self.state.startswith(prefix):
            changes["state"] = prefix + str(absolute(Path(self.state.removeprefix(prefix))))
        return self.model_copy(update=changes)


def load(path: Path) -> Settings:
    """Read ``path``; paths in the result are absolute.

    Raises :class:`~vagus.errors.ConfigError` with the file, the line and the mend.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError("no such file", where=str(path), mend="name it with -c FILE") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't be read: {error}", where=str(path)) from error
    return parse(text, name=str(path)).resolved(path.resolve().parent)


def parse(text: str, *, name: str = "vagus.yaml") -> Settings:
    """Settings from YAML text; ``name`` is what errors call it."""
    document = load_located(text, name=name)
    if not isinstance(document.value, Mapping):
        raise ConfigError("is not a mapping of settings", where=name, mend="start with 'stack:'")
    try:
        return Settings.model_validate(document.value)
    except ValidationError as error:
        raise _first_mistake(error, document, name) from error


def json_schema() -> dict[str, object]:
    """The JSON Schema of ``vagus.yaml``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Settings.model_json_schema(),
    }


def _first_mistake(error: ValidationError, document: Located, name: str) -> ConfigError:
    mistakes = error.errors()
    first = mistakes[0]
    where = [str(part) for part in first["loc"] if part != "[key]"]
    line = document.line_of(where)
    key = ".".join(where)
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = ", ".join(_siblings(where[:-1])) or "none"
        text, mend = (
            f"unknown key {where[-1]!r} in {'.'.join(where[:-1]) or 'vagus.yaml'}",
            (f"known keys here: {known}"),
        )
    else:
        text, mend = (
            f"{key}: {first['msg'].removeprefix('Value error, ')}"
            if key
            else (first["msg"].removeprefix("Value error, ")),
            "",
        )
    return ConfigError(text + more, where=f"{name}:{line}", mend=mend)


def _siblings(where: list[str]) -> list[str]:
    """The keys that are known at ``where``, for an error's mend."""
    model: type[BaseModel] = Settings
    for part in where:
        field = model.model_fields.get(part)
        if field is None:
            continue  # a name that the user chose
        found = _model_in(field.annotation)
        if found is None:
            return []
        model = found
    return sorted(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
