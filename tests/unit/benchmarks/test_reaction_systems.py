"""What the systems under test are started with, and when they are left out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from benchmarks.reaction import alertmanager
from benchmarks.reaction.rig import Ports, Rig
from benchmarks.reaction.systems import vagus_settings
from vagus import config

PORTS = Ports(30_000)
RIG = cast(
    Rig,
    SimpleNamespace(
        ports=PORTS,
        edge=SimpleNamespace(
            admin_port=PORTS.admin, folder=Path("/rig/envoy"), access_log=Path("/rig/envoy/a.jsonl")
        ),
    ),
)


def test_vagus_takes_the_settings_it_is_given() -> None:
    settings = config.Settings.model_validate(vagus_settings(RIG, PORTS.spare(0)))
    assert settings.mode is config.Mode.AUTO
    assert set(settings.stack["chat"].replicas) == {"chat-1", "chat-2", "chat-3"}
    assert settings.stack["chat"].runtime is None
    assert settings.api.port == PORTS.spare(0)


def test_no_port_of_a_rig_is_given_twice() -> None:
    spare = [PORTS.spare(number) for number in range(5)]
    ports = [PORTS.edge, PORTS.admin, *PORTS.replicas.values(), *spare]
    assert len(ports) == len(set(ports))


def test_a_peer_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    peer = alertmanager.AlertmanagerWebhook("alertmanager", "Alertmanager", alertmanager.TUNED)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install --no-install-recommends prometheus" in peer.missing()
    for program in ("prometheus", "prometheus-alertmanager"):
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    assert peer.missing() == ""
