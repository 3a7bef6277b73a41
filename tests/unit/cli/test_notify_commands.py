"""``vagus notify test`` says of each target whether it took a message, and never its address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vagus.cli import app
from vagus.errors import ConfigError
from vagus.testing.receivers import Inbox, webhook

CONFIG = """\
stack: {chat: {kind: model-server}}
notify:
  - {name: chat, url_env: CHAT_URL}
  - {name: pager, url_env: PAGER_URL}
"""


def notify(folder: Path, *words: str, targets: str = CONFIG) -> Result:
    file = folder / "vagus.yaml"
    file.write_text(targets)
    result = CliRunner().invoke(app, ["notify", "test", *words, "-c", str(file)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_one_that_takes_it_and_one_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox()
    monkeypatch.setenv("PAGER_URL", "nosuch://s3cret")
    with webhook(inbox) as port:
        monkeypatch.setenv("CHAT_URL", f"json://127.0.0.1:{port}/s3cret")
        result = notify(tmp_path)
    assert result.exit_code == 1
    assert "chat: it took the message" in result.output
    assert "notify target 'pager'" in result.output
    assert "s3cret" not in result.output
    ((title, text),) = inbox.arrived
    assert title == "Vagus can reach you here"
    assert "nothing is asked of you" in text


def test_one_by_name_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook(Inbox()) as port:
        monkeypatch.setenv("CHAT_URL", f"json://127.0.0.1:{port}/")
        result = notify(tmp_path, "chat", "--json")
    assert result.exit_code == 0
    assert json.loads(result.output) == {"targets": [{"target": "chat", "ok": True, "error": ""}]}


def test_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are: chat, pager"):
        notify(tmp_path, "pgaer")
    with pytest.raises(ConfigError, match="nobody is to be told"):
        notify(tmp_path, targets="stack: {chat: {kind: model-server}}\n")
