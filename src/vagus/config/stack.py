"""What there is: components, their replicas, who can restart them, what moves their traffic."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import (
    Field,
)

from vagus._engines import GENERIC, EngineName, Metrics
from vagus.config.basics import Address, Name, Strict


class Kind(StrEnum):
    MODEL_SERVER = "model-server"
    EMBEDDING_SERVER = "embedding-server"
    VECTOR_STORE = "vector-store"
    CACHE = "cache"
    PIPELINE = "pipeline"


class ProcessRuntime(Strict):
    """A process supervisor with a small HTTP API on loopback."""

    supervisor: Address = Field(description="where its API listens")
    token_file: Path | None = Field(None, description="file that holds the API's bearer token")


class RuntimeSettings(Strict):
    """Who can start and stop the replicas of a component."""

    process: ProcessRuntime = Field(description="they are processes under a supervisor")


class Component(Strict):
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


class EnvoySettings(Strict):
    """Envoy, steered by the endpoint files that Vagus renames into ``dir``."""

    admin: Address = Field(description="its admin interface; statistics are read from it")
    dir: Path = Field(description="folder of its endpoint files: Vagus is their only writer")
    access_log: Path | None = Field(None, description="its JSON access log, which is followed")


class GatewaySettings(Strict):
    """The data plane that callers' requests pass."""

    envoy: EnvoySettings = Field(description="it is Envoy")
