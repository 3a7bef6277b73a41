"""``vagus.yaml`` -> typed settings.

This package is the public contract: whatever it accepts is documented by the JSON Schema made from
it (``vagus check-config --schema``), and whatever it refuses is refused with one line that names
the file, the line and the mend. Nothing here opens a socket or a database; ``vagus check-config``
must be safe to run anywhere.

Relative paths are relative to the file, so that a configuration can be moved with what it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from vagus._mistakes import Misfit, first_mistake
from vagus._units import (
    DURATION_SCHEMA,
    PERIODS,
    SHARE_SCHEMA,
    SIZE_SCHEMA,
    AlarmBudget,
    Duration,
    Rate,
    written_duration,
    written_share,
    written_size,
)
from vagus._yaml import load_located
from vagus.config.basics import Address, Name, Strict, a_day_at_least
from vagus.config.policy import ChaosSettings, FreezeWindow, HealingSettings, Mode, PolicySettings
from vagus.config.serving import ApiSettings, NotifyTarget, Occasion
from vagus.config.stack import (
    Component,
    EnvoySettings,
    GatewaySettings,
    Kind,
    ProcessRuntime,
    RuntimeSettings,
)
from vagus.config.telemetry import (
    LEAST_PAUSE,
    ExportSettings,
    Objective,
    RetrievalSettings,
    SignalSettings,
    TelemetrySettings,
)
from vagus.errors import ConfigError
from vagus.model.signals import SIGNALS

__all__ = [
    "LEAST_PAUSE",
    "Address",
    "ApiSettings",
    "ChaosSettings",
    "Component",
    "EnvoySettings",
    "ExportSettings",
    "FreezeWindow",
    "GatewaySettings",
    "HealingSettings",
    "Kind",
    "Mode",
    "Name",
    "NotifyTarget",
    "Objective",
    "Occasion",
    "PolicySettings",
    "ProcessRuntime",
    "RetrievalSettings",
    "RuntimeSettings",
    "Settings",
    "SignalSettings",
    "TelemetrySettings",
    "json_schema",
    "load",
    "parse",
]


class Settings(Strict):
    """All of ``vagus.yaml``."""

    stack: dict[Name, Component] = Field(description="the components, by name")
    gateway: GatewaySettings | None = Field(
        None, description="what moves traffic; without it Vagus can't keep callers off a replica"
    )
    objectives: tuple[Objective, ...] = Field((), description="what callers are promised")
    false_alarms: AlarmBudget = Field(
        default_factory=lambda: Rate(count=1.0, period=PERIODS["week"]),
        json_schema_extra={"default": "1 per week"},
        description="false alarms that are bearable, over all series and detectors: the only "
        "threshold of baselines",
    )
    signals: dict[str, SignalSettings] = Field(
        default_factory=dict, description="signals of the catalogue, where it knows less than you"
    )
    mode: Mode = Field(
        Mode.SHADOW,
        description="off; shadow: decide and record, touch nothing; suggest: ask before every "
        "action; auto: act as far as the policy allows",
    )
    policy: PolicySettings = Field(
        default_factory=PolicySettings, description="what holds for every action"
    )
    healing: HealingSettings = Field(
        default_factory=HealingSettings, description="how patiently healing is verified"
    )
    telemetry: TelemetrySettings = Field(
        default_factory=TelemetrySettings, description="how often the stack is looked at"
    )
    retrieval: RetrievalSettings = Field(
        default_factory=RetrievalSettings, description="how searches of vector stores are judged"
    )
    api: ApiSettings = Field(default_factory=ApiSettings, description="Vagus's own HTTP port")
    chaos: ChaosSettings = Field(
        default_factory=ChaosSettings, description="experiments, which break things on purpose"
    )
    state: str = Field(
        "sqlite:///vagus.db",
        description="database of incidents, intents and the ledger: a file, or "
        "`postgresql://user@host/database` for several processes of which one leads",
    )
    retention: Annotated[Duration, AfterValidator(a_day_at_least)] | None = Field(
        None,
        description="how long findings, requests and proposals of incidents that are over are "
        "kept; without it, for good. The ledger is never cut",
    )
    ledger_anchor: Path | None = Field(
        None,
        description="file to which the ledger's head is added every minute: keep it where whoever "
        "can write the state can't",
    )
    heartbeat: Path | None = Field(None, description="touched every second while the loop runs")
    notify: tuple[NotifyTarget, ...] = Field((), description="whom to tell, and of what")

    @model_validator(mode="after")
    def _names_fit_together(self) -> Settings:
        if not self.stack:
            raise Misfit("name at least one component", "stack")
        replicas: dict[str, str] = {}
        addresses: dict[str, str] = {}
        for component, spec in self.stack.items():
            for replica, address in spec.replicas.items():
                here = ("stack", component, "replicas", replica)
                if replica in replicas:
                    raise Misfit(
                        f"{replicas[replica]!r} has a replica of this name too; "
                        "the name is its identity, so give each its own",
                        *here,
                    )
                if address in addresses:
                    raise Misfit(
                        f"{addresses[address]!r} is at {address} too; "
                        "what is seen there has to belong to one of them",
                        *here,
                    )
                replicas[replica], addresses[address] = component, replica
            for other in spec.depends_on:
                if other not in self.stack:
                    known = ", ".join(sorted(self.stack))
                    raise Misfit(
                        f"{other!r} is not in stack (there are: {known})",
                        *("stack", component, "depends_on"),
                    )
            by = spec.embedded_by
            if by is not None and (
                by not in self.stack or self.stack[by].kind is not Kind.EMBEDDING_SERVER
            ):
                raise Misfit(
                    f"{by!r} is no embedding-server of stack", "stack", component, "embedded_by"
                )
        for index, objective in enumerate(self.objectives):
            if objective.subject not in self.stack:
                raise Misfit(
                    f"{objective.subject!r} is not in stack", "objectives", str(index), "subject"
                )
        for signal in self.signals:
            if signal not in SIGNALS:
                near = get_close_matches(signal, SIGNALS, n=3, cutoff=0.4)
                raise Misfit(
                    f"there is no signal {signal!r}; near to it: {', '.join(near) or 'none'}",
                    *("signals", signal),
                )
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
        policy: dict[str, object] = {"kill_switch": absolute(self.policy.kill_switch)}
        for name, path in (("rules", self.policy.rules), ("licences", self.policy.licences)):
            if path is not None:
                policy[name] = absolute(path)
        notify = tuple(
            target.model_copy(update={"url_file": absolute(target.url_file)})
            if target.url_file is not None
            else target
            for target in self.notify
        )
        changes: dict[str, object] = {
            "stack": stack,
            "gateway": gateway,
            "policy": self.policy.model_copy(update=policy),
            "notify": notify,
            "retrieval": self.retrieval.model_copy(
                update={"golden": absolute(self.retrieval.golden)}
            ),
            "chaos": self.chaos.model_copy(
                update={
                    "intents": absolute(self.chaos.intents),
                    "folder": absolute(self.chaos.folder),
                }
            ),
        }
        if self.heartbeat is not None:
            changes["heartbeat"] = absolute(self.heartbeat)
        if self.ledger_anchor is not None:
            changes["ledger_anchor"] = absolute(self.ledger_anchor)
        telemetry: dict[str, Path] = {}
        if self.telemetry.history is not None:
            telemetry["history"] = absolute(self.telemetry.history)
        prefix = "sqlite:///"
        if self.state.startswith(prefix):
            file = absolute(Path(self.state.removeprefix(prefix)))
            changes["state"] = prefix + str(file)
            telemetry["baselines"] = file.with_suffix(".baselines")
        if self.telemetry.baselines is not None:
            telemetry["baselines"] = absolute(self.telemetry.baselines)
        changes["telemetry"] = self.telemetry.model_copy(update=telemetry)
        return self.model_copy(update=changes)


def load(path: Path) -> Settings:
    """Read ``path``; paths in the result are absolute.

    Raises :class:`~vagus.errors.ConfigError` with the file, the line and the mend.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            "no such file", where=str(path), mend="give the path of your vagus.yaml"
        ) from error
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
        raise first_mistake(error, Settings, document, name) from error


def json_schema() -> dict[str, object]:
    """The JSON Schema of ``vagus.yaml``."""
    schema = Settings.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for field in part.get("properties", {}).values():
            _write_default(field)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _write_default(field: dict[str, Any]) -> None:
    """Give a default in the form in which it would be written: ``50%``, not ``0.5``."""
    default, pattern = field.get("default"), field.get("items", field).get("pattern")
    for schema, write in (
        (DURATION_SCHEMA, written_duration),
        (SHARE_SCHEMA, written_share),
        (SIZE_SCHEMA, written_size),
    ):
        if default is not None and pattern == schema["pattern"]:
            many = isinstance(default, list)
            field["default"] = [write(d) for d in default] if many else write(default)
