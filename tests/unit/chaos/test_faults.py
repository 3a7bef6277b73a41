"""Faults on processes of this machine and on a supervisor that a test plays."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vagus.chaos import processes
from vagus.chaos.faults import Fault, Target, load, names
from vagus.chaos.faults.cgroup import CpuQuota, cpu_quota
from vagus.errors import ChaosError

BOTH = ["kill", "stop"]
PARAMETERS: dict[str, dict[str, Any]] = {"bad-version": {"version": "v2-damaged"}}


@dataclass
class Play:
    """A supervisor with one replica; orders change its row as they would change the replica."""

    row: dict[str, Any]
    orders: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    address: str = ""

    def order(self, what: str, body: dict[str, Any]) -> None:
        if what == "fault":
            self.row["fault"] = body["fault"]
            self.orders.append((what, body))
        elif body["token"] not in self.tokens:
            self.tokens.add(body["token"])
            self.orders.append((what, body))
            self.row |= {
                "generation": self.row["generation"] + 1,
                "state": "running",
                "fault": None,
                "version": body.get("version", self.row["version"]),
            }


@contextmanager
def serving(play: Play) -> Iterator[Play]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            if name not in ("replicas", "chat-1"):
                self._say(404, {"error": f"there is no replica {name!r}"})
            elif name == "replicas":
                self._say(200, {"replicas": {"chat-1": play.row}})
            else:
                self._say(200, play.row)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            play.order(self.path.rpartition("/")[2], body)
            self._say(200, play.row)

        def _say(self, status: int, answer: object) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        play.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield play
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sh", "-c", "sleep 600 & wait"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def play(victim: subprocess.Popen[bytes]) -> Iterator[Play]:
    row = {
        "component": "chat",
        "pid": victim.pid,
        "state": "running",
        "generation": 1,
        "fault": None,
        "version": "v1",
    }
    with serving(Play(row)) as play:
        yield play


def target(play: Play, **changes: Any) -> Target:
    values: dict[str, Any] = {
        "component": "chat",
        "replica": "chat-1",
        "kind": "model-server",
        "supervisor": play.address,
        "row": dict(play.row),
    }
    return Target(**values | changes)


def each(*wanted: str) -> list[Fault]:
    return [load(name) for name in wanted or names()]


def named(fault: Fault) -> str:
    return fault.name


ORDERED = [fault for fault in each() if fault.name not in ("kill", "stop", "cpu-quota")]


@pytest.mark.parametrize("fault", ORDERED, ids=named)
def test_what_is_ordered_is_in_and_out_again(play: Play, fault: Fault) -> None:
    before = dict(play.row)
    assert fault.refusal(target(play)) == ""
    note = fault.prepare(target(play), PARAMETERS.get(fault.name, {}))
    assert json.loads(json.dumps(note)) == note
    assert "chat-1" in fault.does(note)
    assert play.orders == []
    fault.inject(note)
    assert fault.took(note)
    for _ in range(2):
        fault.undo(note)
        assert (play.row["fault"], play.row["version"]) == (None, before["version"])


@pytest.mark.parametrize("fault", each(), ids=named)
def test_undoing_what_was_not_injected_changes_nothing(
    play: Play, victim: subprocess.Popen[bytes], fault: Fault
) -> None:
    if why := fault.refusal(target(play)):
        pytest.skip(why)
    before = dict(play.row)
    fault.undo(fault.prepare(target(play), PARAMETERS.get(fault.name, {})))
    assert play.row == before
    assert victim.poll() is None


@pytest.mark.parametrize("fault", each(), ids=named)
def test_a_replica_that_is_gone_for_good_needs_no_mending(play: Play, fault: Fault) -> None:
    if why := fault.refusal(target(play)):
        pytest.skip(why)
    note = fault.prepare(target(play), PARAMETERS.get(fault.name, {}))
    fault.undo({**note, "replica": "chat-9"})
    assert play.orders == []


@pytest.mark.parametrize("fault", each("kill", "stop"), ids=named)
def test_without_a_supervisor_nothing_is_killed_or_stopped(play: Play, fault: Fault) -> None:
    assert "nobody could start it" in fault.refusal(target(play, supervisor=""))


@pytest.mark.parametrize("fault", each(), ids=named)
def test_an_unknown_parameter_is_refused(play: Play, fault: Fault) -> None:
    with pytest.raises(ChaosError):
        fault.prepare(target(play), {"bananas": 3})


def test_a_killed_replica_is_started_once_however_often_that_is_asked(
    play: Play, victim: subprocess.Popen[bytes]
) -> None:
    kill = load("kill")
    note = kill.prepare(target(play), {})
    kill.inject(note)
    assert kill.took(note)
    assert processes.members(victim.pid) == ()
    play.row["state"] = "exited"
    kill.undo(note)
    kill.undo(note)
    assert [what for what, _ in play.orders] == ["restart"]


def test_a_replica_that_vagus_started_is_not_started_again(play: Play) -> None:
    kill = load("kill")
    note = kill.prepare(target(play), {})
    kill.inject(note)
    play.row |= {"state": "exited", "generation": 2}
    kill.undo(note)
    assert play.orders == []


def test_the_whole_group_is_stopped_and_goes_on(
    play: Play, victim: subprocess.Popen[bytes]
) -> None:
    stop = load("stop")
    note = stop.prepare(target(play), {})
    members = processes.members(victim.pid)
    assert len(members) == 2
    stop.inject(note)
    assert {processes.state(pid) for pid in members} == {"T"}
    stop.undo(note)
    assert "T" not in {processes.state(pid) for pid in members}


@pytest.mark.parametrize("name", BOTH)
def test_a_number_that_was_given_away_is_left_alone(
    play: Play, victim: subprocess.Popen[bytes], name: str
) -> None:
    fault = load(name)
    note = fault.prepare(target(play), {})
    stranger = {**note, "began": int(note["began"] or 0) + 1}
    with pytest.raises(ChaosError, match="gone already"):
        fault.inject(stranger)
    assert victim.poll() is None


def test_a_quota_of_this_machine_is_in_force_and_everybody_comes_back(
    play: Play, victim: subprocess.Popen[bytes]
) -> None:
    if why := cpu_quota.refusal(target(play)):
        pytest.skip(why)
    note = cpu_quota.prepare(target(play), {"share": 0.2})
    before = Path(f"/proc/{victim.pid}/cgroup").read_text()
    cpu_quota.inject(note)
    assert cpu_quota.took(note)
    assert Path(f"/proc/{victim.pid}/cgroup").read_text() != before
    cpu_quota.undo(note)
    cpu_quota.undo(note)
    assert Path(f"/proc/{victim.pid}/cgroup").read_text() == before
    assert not Path(str(note["group"])).exists()


@pytest.mark.parametrize("handed", ["", "memory pids", "cpu memory"])
def test_cgroup_v2_needs_the_controller_handed_down(
    play: Play, tmp_path: Path, handed: str
) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text(handed)
    refused = CpuQuota(root=tmp_path).refusal(target(play))
    assert (refused == "") is ("cpu" in handed)


def test_cgroup_v2_has_one_file_for_quota_and_period(play: Play, tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu\n")
    quota = CpuQuota(root=tmp_path)
    note = quota.prepare(target(play), {"share": 0.25})
    quota.inject(note)
    assert (Path(str(note["group"])) / "cpu.max").read_text() == "25000 100000\n"


def test_a_quota_that_the_kernel_would_not_take_is_refused(play: Play) -> None:
    with pytest.raises(ChaosError, match="too small"):
        cpu_quota.prepare(target(play), {"share": 0.001})


def test_a_fault_that_nobody_installed_is_told_with_those_there_are() -> None:
    with pytest.raises(ChaosError, match="cpu-quota"):
        load("bananas")
