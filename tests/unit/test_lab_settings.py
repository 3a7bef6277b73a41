"""One lab's settings, its run folder, and what it tells Vagus of itself."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vagus import config
from vagus.errors import LabError
from vagus.lab import declaration, rundir
from vagus.lab.ports import check_ports
from vagus.lab.settings import LabSettings
from vagus.policy.grants import load_grants


def settings_in(tmp_path: Path, **changes: object) -> LabSettings:
    return LabSettings(run_dir=tmp_path / "run", cache_dir=tmp_path / "cache", **changes)  # type: ignore[arg-type]


def test_no_two_of_the_lab_share_a_port() -> None:
    settings = LabSettings(chat_replicas=9, embed_replicas=9)
    ports = [port for _, port in settings.ports_at_start()]
    assert len(ports) == len(set(ports))


def test_an_offset_moves_every_port_and_the_run_folder() -> None:
    here, there = LabSettings(), LabSettings(offset=1000)
    moved = {owner: port + 1000 for owner, port in here.ports_at_start()}
    assert moved == dict(there.ports_at_start())
    assert here.run_dir != there.run_dir
    assert here.cache_dir == there.cache_dir


def test_the_run_folder_is_not_in_the_home_directory() -> None:
    assert not LabSettings().run_dir.is_relative_to(Path.home())


@pytest.mark.parametrize("changes", [{}, {"model": Path("/m.gguf"), "offset": 7, "seed": 1}])
def test_processes_read_the_settings_that_were_saved(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    settings = settings_in(tmp_path, **changes)
    assert LabSettings.load(settings.save()) == settings


@pytest.mark.parametrize("text", ["", "[]", '{"ports": 1}'])
def test_settings_that_are_none_are_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(text)
    with pytest.raises(LabError, match=r"settings\.json"):
        LabSettings.load(file)


@pytest.mark.parametrize(
    "changes", [{"offset": -1}, {"offset": 60_000}, {"chat_replicas": 0}, {"embed_replicas": 10}]
)
def test_sizes_that_can_not_be_are_refused_with_the_mend(changes: dict[str, int]) -> None:
    with pytest.raises(LabError) as caught:
        LabSettings(**changes)  # type: ignore[arg-type]
    assert caught.value.mend


def test_a_port_in_use_is_named_with_its_owner() -> None:
    settings = LabSettings(offset=20_000)
    with (
        socket.create_server(("127.0.0.1", settings.port("embed", 2))),
        pytest.raises(LabError, match=r"port 28152 \(of embed-2\) is in use") as caught,
    ):
        check_ports(settings)
    assert "--offset" in caught.value.mend


def test_what_the_lab_declares_is_what_vagus_accepts(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, offset=500, chat_replicas=4)
    rundir.claim(settings)
    declaration.write(settings)
    declared = config.load(settings.config_file)
    assert set(declared.stack) == {"chat", "embed", "vectors", "rag"}
    assert list(declared.stack["chat"].replicas) == ["chat-1", "chat-2", "chat-3", "chat-4"]
    assert "8604" in str(declared.stack["chat"].replicas["chat-4"])
    assert declared.policy.licences is not None
    granted = load_grants(declared.policy.licences, declared, now=0.0)
    assert {(grant.action, grant.component) for grant in granted} == {
        ("replace", "chat"),
        ("replace", "embed"),
        ("rebuild-index", "vectors"),
        ("vacuum", "vectors"),
    }
    assert all(grant.manual and "by hand" in grant.reason for grant in granted)


def test_a_run_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LabError, match="isn't ours"):
        rundir.claim(settings_in(tmp_path))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_run_folder_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(LabError, match="can't be used"):
        rundir.claim(settings_in(tmp_path))


def test_a_failed_start_is_told_after_the_supervisor_is_gone(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    rundir.claim(settings)
    rundir.write_note(settings, "failed", LabError("no disk", where="here", mend="buy one"))
    note = rundir.read_note(settings)
    assert (note.phase, note.pid, str(note.error)) == ("failed", None, "here: no disk (buy one)")


def test_a_killed_supervisor_counts_as_down(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    rundir.claim(settings)
    rundir.write_note(settings, "up")
    note = json.loads(settings.state_file.read_text())
    assert note["pid"] == os.getpid()
    assert rundir.read_note(settings) == rundir.LabNote("down", None, None)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": 1, "phase": "up", "error": 3}'])
def test_a_note_that_makes_no_sense_counts_as_down(tmp_path: Path, text: str) -> None:
    settings = settings_in(tmp_path)
    rundir.claim(settings)
    settings.state_file.write_text(text)
    assert rundir.read_note(settings).phase == "down"


def test_asking_for_a_lab_needs_none_of_its_packages() -> None:
    heavy = "uvicorn, starlette, psycopg, onnxruntime, tokenizers, xllamacpp, gguf"
    program = (
        f"import sys, vagus.lab.stack\nassert not set(sys.modules) & set('{heavy}'.split(', '))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
