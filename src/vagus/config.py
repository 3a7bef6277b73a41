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
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from vagus._engines import GENERIC, EngineName, Metrics
from vagus._mistakes import Misfit, first_mistake
from vagus._units import (
    DURATION_SCHEMA,
    PERIODS,
    SHARE_SCHEMA,
    SIZE_SCHEMA,
    ActionBudget,
    AlarmBudget,
    Duration,
    Rate,
    RequestRate,
    Share,
    Size,
    When,
    written_duration,
    written_share,
    written_size,
)
from vagus._yaml import load_located
from vagus.errors import ConfigError
from vagus.model.signals import SIGNALS


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


def _a_day_at_least(seconds: float) -> float:
    if seconds < PERIODS["day"]:
        raise ValueError("keep them for 1d at least: what is decided now looks back at them")
    return seconds


Address = Annotated[
    str, AfterValidator(_address), Field(json_schema_extra={"examples": ["http://127.0.0.1:8101"]})
]
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

    supervisor: Address = Field(description="where its API listens")
    token_file: Path | None = Field(None, description="file that holds the API's bearer token")


class RuntimeSettings(_Strict):
    """Who can start and stop the replicas of a component."""

    process: ProcessRuntime = Field(description="they are processes under a supervisor")


class Component(_Strict):
    """One service of the stack."""

    kind: Kind = Field(description="what it is for; decides how it is probed")
    engine: EngineName = Field(
        GENERIC, description="what it runs; decides how its metrics are read"
    )
    replicas: dict[Name, Address] = Field(
        default_factory=dict, description="its running instances; the name is the identity"
    )
    runtime: RuntimeSettings | None = Field(
        None, description="who can restart them; without it only traffic is moved"
    )
    depends_on: tuple[Name, ...] = Field((), description="components that it calls")
    metrics_path: str = Field("/metrics", description="where its Prometheus metrics are")
    metrics: Metrics = Field(
        default_factory=dict,
        description="metrics that the engine's dialect doesn't know, or knows otherwise: "
        "each is one or more signals of the catalogue",
    )
    model: str | None = Field(None, description="model name that probes ask for")
    dsn_env: str | None = Field(
        None,
        description="of a vector store: environment variable that holds its DSN, by which its "
        "collections are searched and their indexes mended; without it they are not",
    )
    collections: tuple[str, ...] = Field(
        (), description="of a vector store: tables or collections whose searches are judged"
    )
    embedded_by: Name | None = Field(
        None,
        description="of a vector store: the embedding server of its vectors, which golden queries "
        "are embedded by",
    )


class EnvoySettings(_Strict):
    """Envoy, steered by the endpoint files that Vagus renames into ``dir``."""

    admin: Address = Field(description="its admin interface; statistics are read from it")
    dir: Path = Field(description="folder of its endpoint files: Vagus is their only writer")
    access_log: Path | None = Field(None, description="its JSON access log, which is followed")


class GatewaySettings(_Strict):
    """The data plane that callers' requests pass."""

    envoy: EnvoySettings = Field(description="it is Envoy")


class Objective(_Strict):
    """What callers are promised."""

    subject: Name = Field(description="the component they call")
    signal: Literal["errors"] = Field(description="what is counted: `errors`, failed requests")
    at_most: Share = Field(description="share of the requests that may be so")
    over: Duration = Field(description="the window in which they are counted")


class Mode(StrEnum):
    OFF = "off"
    SHADOW = "shadow"
    SUGGEST = "suggest"
    AUTO = "auto"


class FreezeWindow(_Strict):
    """A time in which nothing new is begun: every week on ``days`` from one time of the day to
    another (past midnight if ``until`` is the earlier one), or once between two dates."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(
        (), description="weekdays on which it starts; none: every day, or the dates alone"
    )
    start: When = Field(alias="from", description="`18:00`, or a date with time")
    until: When = Field(description="`08:00`, or a date with time")
    timezone: str = Field("UTC", description="of the times, such as `Europe/Vienna`")
    reason: str = Field(description="said to whoever is refused")

    @model_validator(mode="after")
    def _means_a_time(self) -> FreezeWindow:
        if isinstance(self.start, datetime) != isinstance(self.until, datetime):
            raise ValueError("'from' and 'until' must both be times of the day, or both be dates")
        if isinstance(self.start, datetime) and self.days:
            raise ValueError("'days' goes with times of the day, not with dates")
        if self.start == self.until:
            raise ValueError("'from' and 'until' are the same: that is no time at all")
        start, until = self.start, self.until
        if isinstance(start, datetime) and isinstance(until, datetime) and until < start:
            raise ValueError("'until' lies before 'from'")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{self.timezone!r} is no timezone that this machine knows") from error
        return self


class PolicySettings(_Strict):
    """What holds for every action."""

    floor: Share = Field(0.5, description="share of a component's capacity that stays in traffic")
    budget: ActionBudget = Field(
        default_factory=lambda: Rate(count=0.1, period=600.0),
        json_schema_extra={"default": "10% per 10m"},
        description="share of a component's replicas that may be acted upon in a time; "
        "at least one replica always may",
    )
    cooldown: Duration = Field(60.0, description="between two treatments of one replica; doubles")
    kill_switch: Path = Field(
        Path("vagus.stop"), description="while this file exists nothing is acted upon"
    )
    production: bool = Field(
        False, description="people depend on this stack: what touches a process is a tier riskier"
    )
    environment: Name = Field(
        "default",
        description="which stack this is: licences and track records are kept apart by it",
    )
    freeze: tuple[FreezeWindow, ...] = Field(
        (), description="when nothing new is begun; recoveries may finish"
    )
    rules: Path | None = Field(None, description="file of operators' rules (CEL)")
    licences: Path | None = Field(
        None, description="file of licences that were granted by hand, with owner and reason"
    )
    licence_from: Literal["R1", "R2"] = Field(
        "R2", description="smallest tier that acts alone only with a licence"
    )
    approval_timeout: Duration = Field(
        900.0, description="how long a proposal waits for people; no answer means no"
    )
    approvers: dict[Name, tuple[Name, ...]] = Field(
        default_factory=dict,
        description="groups that rules may ask: which people, by the names of their tokens",
    )

    @model_validator(mode="after")
    def _groups_have_members(self) -> PolicySettings:
        for group, people in self.approvers.items():
            if not people:
                raise Misfit(
                    "nobody is in this group, and that must never mean anybody",
                    *("policy", "approvers", group),
                )
        return self


class HealingSettings(_Strict):
    """How patiently it is verified that something healed."""

    hold: Duration = Field(5.0, description="how long the evidence of health must hold")
    timeout: Duration = Field(60.0, description="until a treatment counts as unchanged")
    return_steps: tuple[Share, ...] = Field(
        (0.25, 1.0), description="shares of its traffic that are given back one after the other"
    )
    return_hold: Duration = Field(5.0, description="watching callers at each step of the return")
    warm_up: Duration = Field(
        30.0, description="how long a replica that was started may take before it is found sick"
    )
    containment: Duration = Field(3600.0, description="an override expires after this")

    @model_validator(mode="after")
    def _steps_rise_to_all(self) -> HealingSettings:
        if not self.return_steps or self.return_steps[-1] != 1.0:
            raise ValueError("return_steps must end with 100%")
        if list(self.return_steps) != sorted(set(self.return_steps)) or self.return_steps[0] <= 0:
            raise ValueError("return_steps must rise, from above 0% to 100%")
        return self


class ChaosSettings(_Strict):
    """Experiments, which break things on purpose."""

    budget: RequestRate = Field(
        default_factory=lambda: Rate(count=10.0, period=PERIODS["hour"]),
        json_schema_extra={"default": "10 per hour"},
        description="experiments that may be started in a time, whoever starts them",
    )
    intents: Path = Field(Path("intents.yaml"), description="file of what must hold")
    folder: Path = Field(
        Path("chaos"), description="where undo records and results of experiments are kept"
    )


class ExportSettings(_Strict):
    """Where Vagus pushes what it says of itself."""

    otlp: Address = Field(description="OTLP over HTTP: a collector's address, without a path")
    every: Duration = Field(15.0, description="between two pushes")
    timeout: Duration = Field(5.0, description="until a push counts as failed")
    headers_env: str = Field(
        "OTEL_EXPORTER_OTLP_HEADERS",
        description="environment variable with headers to send, as `name=value,name=value`",
    )

    @model_validator(mode="after")
    def _not_all_the_time(self) -> ExportSettings:
        if self.every < 1 or self.timeout <= 0:
            raise ValueError("'every' is 1s at least, and 'timeout' more than nothing")
        return self


class TelemetrySettings(_Strict):
    """How often the stack is looked at."""

    interval: Duration = Field(1.0, description="between two scrapes of a target: the grid")
    timeout: Duration = Field(2.0, description="until a silent target counts as missing")
    probe_timeout: Duration = Field(5.0, description="until a probe counts as unanswered")
    probe_interval: Duration = Field(10.0, description="between two probes of a healthy replica")
    probe_interval_suspect: Duration = Field(0.5, description="the same while it is suspect")
    history: Path | None = Field(
        None, description="folder of recordings, for replay and `vagus query`"
    )
    history_keep: Duration = Field(7 * PERIODS["day"], description="recordings older go")
    history_size: Size = Field(
        1 << 30, description="packed recordings may take this much; the oldest go first"
    )
    baselines: Path | None = Field(
        None,
        description="file in which what is normal is kept over a restart; without it, beside a "
        "`state` that is a file",
    )
    otlp_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port on loopback where OTLP over HTTP and Prometheus's remote write are "
        "received; 4318 by convention, 0 takes any free one; off unless it is set",
    )
    export: ExportSettings | None = Field(
        None, description="push Vagus's own metrics, and each incident as a trace"
    )


class SignalSettings(_Strict):
    """What you know better of a signal than the catalogue does."""

    watch: bool = Field(True, description="whether baselines judge it at all")
    worse: Literal["up", "down"] | None = Field(None, description="which direction is bad")
    floor: float | None = Field(
        None, ge=0, description="a deviation that is smaller never matters; in the signal's unit"
    )
    min_samples: int | None = Field(
        None, ge=1, description="values that must have been seen before anything is judged"
    )


LEAST_PAUSE = 0.01  # s between two searches of a collection


class RetrievalSettings(_Strict):
    """How searches of vector stores are judged: each is made twice, as callers make it and exactly,
    and what callers get is held against what is promised."""

    recall: Share = Field(
        0.9, description="of the nearest rows that searches are promised to find, in each cluster"
    )
    k: int = Field(10, ge=1, le=1000, description="rows that a search asks for")
    interval: Duration = Field(2.0, description="between two searches of a collection")
    interval_suspect: Duration = Field(0.2, description="the same while it is suspect")
    timeout: Duration = Field(5.0, description="until a search counts as unanswered")
    golden: Path = Field(
        Path("golden.yaml"), description="file of golden queries, which `vagus golden` writes"
    )

    @model_validator(mode="after")
    def _can_be_promised(self) -> RetrievalSettings:
        if not 0 < self.recall < 1:
            raise ValueError("'recall' lies between 0% and 100%: no approximate index keeps 100%")
        if min(self.interval, self.interval_suspect) < LEAST_PAUSE:
            raise ValueError(f"searches without a pause of {LEAST_PAUSE * 1e3:.0f}ms are a load")
        return self


class ApiSettings(_Strict):
    """Where Vagus serves its API and its own ``/metrics`` and ``/healthz``."""

    host: Literal["127.0.0.1", "::1", "localhost"] = Field(
        "127.0.0.1", description="loopback only; put a proxy in front to reach it from elsewhere"
    )
    port: int = Field(9190, ge=0, le=65535, description="0 takes any free one")
    hosts: tuple[str, ...] = Field(
        (),
        description="names under which a proxy in front passes requests on, beside those of "
        "loopback; a request for any other host is refused",
    )
    rate: RequestRate = Field(
        default_factory=lambda: Rate(count=50.0, period=PERIODS["second"]),
        json_schema_extra={"default": "50 per second"},
        description="requests that a token may make, and an address without one",
    )


class Occasion(StrEnum):
    PROPOSED = "proposed"  # a person must answer
    ESCALATED = "escalated"  # a person is needed
    ACTED = "acted"  # something of R2 or above was done
    RESOLVED = "resolved"
    STOPPED = "stopped"  # the kill switch was set or lifted, or the mode changed


class NotifyTarget(_Strict):
    """One place that is told. Its address holds secrets, so it is not written here."""

    name: Name = Field(description="what it is called in logs and errors")
    url_env: str | None = Field(None, description="environment variable with its Apprise URL")
    url_file: Path | None = Field(None, description="file with its Apprise URL")
    occasions: tuple[Occasion, ...] = Field(
        (Occasion.PROPOSED, Occasion.ESCALATED, Occasion.ACTED), description="what it is told of"
    )

    @model_validator(mode="after")
    def _has_an_address(self) -> NotifyTarget:
        if (self.url_env is None) == (self.url_file is None):
            raise ValueError("give one of url_env and url_file: where its Apprise URL is kept")
        return self


class Settings(_Strict):
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
    retention: Annotated[Duration, AfterValidator(_a_day_at_least)] | None = Field(
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
