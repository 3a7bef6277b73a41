"""``vagus learn`` as it is called: what it says, and what it refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from typer.testing import CliRunner

from vagus.cli import app
from vagus.errors import ConfigError, VagusError

STACK = """\
stack:
  chat: {kind: model-server, engine: llama.cpp, replicas: {chat-1: "http://127.0.0.1:34101"}}
"""


class _Prometheus(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        result = []
        if "llamacpp:requests_processing{" in asked["query"]:
            values = [[float(asked["start"]), "3"]]
            result.append({"metric": {"instance": "127.0.0.1:34101"}, "values": values})
        answer = json.dumps({"status": "success", "data": {"result": result}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing: what it was asked is of no interest to whoever runs the tests."""


@pytest.fixture
def prometheus() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Prometheus) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "vagus.yaml"
    path.write_text(STACK)
    return path


def learn(config: Path, *words: str) -> str:
    answer = CliRunner().invoke(app, ["learn", "-c", str(config), *words])
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_it_says_what_it_learnt(prometheus: str, config: Path, tmp_path: Path) -> None:
    words = ("--from", prometheus, "--days", "0.1", "--into", str(tmp_path / "past"))
    told = json.loads(learn(config, *words, "--json"))
    assert told == {
        "chunks": 1,
        "already_there": 0,
        "series": 1,
        "values": 1,
        "taught": 1,
        "folder": str(tmp_path / "past"),
    }
    assert "in 0 new chunks (1 were there)" in learn(config, *words)


def test_it_needs_a_folder(prometheus: str, config: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        learn(config, "--from", prometheus)
    assert caught.value.where == "telemetry.history"


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("--from", "prometheus"), "--from"),
        (("--from", "http://me:secret@127.0.0.1:1"), "--from"),
        (("--from", "http://127.0.0.1:1", "--step", "15"), "--step"),
        (("--from", "http://127.0.0.1:1", "--step", "2h"), "--step"),
    ],
)
def test_what_cannot_be_meant(config: Path, words: tuple[str, ...], where: str) -> None:
    with pytest.raises(VagusError) as caught:
        learn(config, *words, "--into", str(config.parent / "past"))
    assert caught.value.where == where
    assert "secret" not in str(caught.value)
