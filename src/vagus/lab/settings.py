"""What one lab is: its size, its folders and, above all, its ports.

Every port of the lab is fixed, so that a person can type it and a screenshot stays true, and every
port moves together by ``offset``, so that tests and a second lab don't meet the first. The settings
are written to the run folder, and each process of the lab is started with that one file: there is
no second place where a port or a path could be said differently.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import platformdirs

from vagus.errors import LabError

HOST = "127.0.0.1"

REPLICATED = ("chat", "embed", "rag")
"""Components that the supervisor keeps as numbered replicas."""

_BASE_PORT = {"chat": 8101, "embed": 8151, "rag": 8201}
_MOST_REPLICAS = {"chat": 9, "embed": 9, "rag": 1}
_CHAT_SERVER_BASE = 8111
_UNSET = Path()


def url(port: int) -> str:
    """The loopback base URL of ``port``, without a slash at the end."""
    return f"http://{HOST}:{port}"


def default_run_dir(offset: int) -> Path:
    """Under the system's temporary folder, never the home directory.

    As root, Postgres runs as another user and needs every parent of its data folder opened for
    that user, which nobody wants to happen to ``/root``.
    """
    suffix = f"-{offset}" if offset else ""
    return Path(tempfile.gettempdir()) / f"vagus-lab-{os.getuid()}{suffix}"


@dataclass(frozen=True)
class LabSettings:
    """One lab. Two labs with different offsets share nothing but the cache."""

    offset: int = 0
    run_dir: Path = _UNSET
    cache_dir: Path = _UNSET
    chat_replicas: int = 3
    embed_replicas: int = 2
    passages: int = 300
    perturbations: int = 20_000
    model: Path | None = None
    """The user's own GGUF in place of the one that set-up fetches."""
    chat_version: str = "v1"
    seed: int = 20_240

    def __post_init__(self) -> None:
        run_dir = default_run_dir(self.offset) if self.run_dir == _UNSET else self.run_dir
        cache_dir = (
            Path(platformdirs.user_cache_dir("vagus")) / "lab"
            if self.cache_dir == _UNSET
            else self.cache_dir
        )
        object.__setattr__(self, "run_dir", run_dir.absolute())
        object.__setattr__(self, "cache_dir", cache_dir.absolute())
        if not 0 <= self.offset <= 65_535 - 9_901:
            raise LabError(f"offset {self.offset} moves ports out of range", mend="use 0 to 55634")
        for component in ("chat", "embed"):
            if not 1 <= self.count(component) <= _MOST_REPLICAS[component]:
                raise LabError(
                    f"{self.count(component)} {component} replicas",
                    mend=f"use 1 to {_MOST_REPLICAS[component]}",
                )

    # Ports

    @property
    def supervisor_port(self) -> int:
        return 8090 + self.offset

    @property
    def gateway_port(self) -> int:
        """Envoy's listener for all HTTP hops."""
        return 8080 + self.offset

    @property
    def vectors_gateway_port(self) -> int:
        """Envoy's TCP listener in front of Postgres."""
        return 8070 + self.offset

    @property
    def envoy_admin_port(self) -> int:
        return 9901 + self.offset

    @property
    def vectors_port(self) -> int:
        """Postgres itself."""
        return 8160 + self.offset

    def port(self, component: str, number: int) -> int:
        """The public port of the replica ``component-number``."""
        if not 1 <= number <= _MOST_REPLICAS[component]:
            raise LabError(
                f"there is no port for {component}-{number}",
                mend=f"the lab has at most {_MOST_REPLICAS[component]} {component} replicas",
            )
        return _BASE_PORT[component] + number - 1 + self.offset

    def chat_server_port(self, public_port: int) -> int:
        """The port of the LLM server behind the hop that listens on ``public_port``."""
        return public_port - _BASE_PORT["chat"] + _CHAT_SERVER_BASE

    def count(self, component: str) -> int:
        """How many replicas the lab starts with."""
        return {"chat": self.chat_replicas, "embed": self.embed_replicas, "rag": 1}[component]

    def replicas(self, component: str) -> dict[str, int]:
        """Name and public port of each replica that the lab starts with."""
        numbers = range(1, self.count(component) + 1)
        return {f"{component}-{n}": self.port(component, n) for n in numbers}

    def ports_at_start(self) -> Iterator[tuple[str, int]]:
        """Who listens where once the lab is up; what has to be free before."""
        yield "supervisor", self.supervisor_port
        yield "gateway", self.gateway_port
        yield "gateway (vectors)", self.vectors_gateway_port
        yield "gateway (admin)", self.envoy_admin_port
        yield "vectors-1", self.vectors_port
        for component in REPLICATED:
            for name, port in self.replicas(component).items():
                yield name, port
                if component == "chat":
                    yield f"{name} (server)", self.chat_server_port(port)

    # Folders and files

    @property
    def envoy_dir(self) -> Path:
        return self.run_dir / "envoy"

    @property
    def logs_dir(self) -> Path:
        return self.run_dir / "logs"

    @property
    def postgres_dir(self) -> Path:
        return self.run_dir / "postgres"

    @property
    def token_file(self) -> Path:
        """Holds the bearer token of the supervisor; mode 0600."""
        return self.run_dir / "supervisor.token"

    @property
    def config_file(self) -> Path:
        """The ``vagus.yaml`` by which Vagus knows this lab."""
        return self.run_dir / "vagus.yaml"

    @property
    def state_file(self) -> Path:
        """``lab.json``: what ``vagus lab status`` reads."""
        return self.run_dir / "lab.json"

    @property
    def settings_file(self) -> Path:
        return self.run_dir / "settings.json"

    # To and from the processes of the lab

    def save(self) -> Path:
        """Write these settings into the run folder, from where every process reads them."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        values = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}
        self.settings_file.write_text(json.dumps(values, indent=1), encoding="utf-8")
        return self.settings_file

    @classmethod
    def load(cls, path: Path) -> LabSettings:
        """Read what :meth:`save` wrote."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LabError(f"no lab settings: {error}", where=str(path)) from error
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) - known:
            raise LabError("not the settings of this version's lab", where=str(path))
        for name in ("run_dir", "cache_dir", "model"):
            if values.get(name) is not None:
                values[name] = Path(values[name])
        return cls(**values)
