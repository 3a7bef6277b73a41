"""One process at a time works on a state, and it is free again however that one ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vagus.durable import claim, launch
from vagus.errors import StateError

HOLD = """
import sys, time
from vagus.durable import claim, launch
lock = claim(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_told_who_works_on_the_state(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'vagus.db'}"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StateError, match=rf"another vagus run \(pid {holder.pid}\)"):
            claim(url)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    claim(url).close()


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    with claim(f"sqlite:///{tmp_path / 'new' / 'vagus.db'}"):
        assert (tmp_path / "new").is_dir()


def test_a_place_that_cannot_be_written_is_named_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="set 'state' to another place"):
        claim(f"sqlite:///{tmp_path / 'file' / 'vagus.db'}")


def test_an_sqlite_that_is_too_old_for_this_python_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.version_info", (3, 12, 0))
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 40, 1))
    with pytest.raises(StateError, match=r"needs SQLite 3\.42"):
        launch(f"sqlite:///{tmp_path / 'vagus.db'}")
