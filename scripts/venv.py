"""Makes `.venv` hold exactly one of the pinned lists, and Vagus itself.

    python3 scripts/venv.py run|lab|dev [--venv DIR]

Every make target calls this first, so it has to be right when nothing is there, when everything is
there, and when an earlier call was killed halfway:

* A stamp in the environment holds the digest of what it was made from (the list, pyproject.toml,
  the Python). Equal digest: nothing to do. Content decides, not file times, since a fresh clone's
  file times say nothing.
* While pip works a marker is in place, and it goes away only when pip has succeeded. Who finds the
  marker starts from an empty environment: a package that was half written looks installed to pip.
* A lock keeps two makes from installing at once. What we start inherits it, so a pip that outlived
  a killed make is waited for.

The standard library only, in syntax that an old Python can read: it has to be able to say that the
Python is too old.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
LISTS = ("run", "lab", "dev")  # each one holds the ones before it


def main() -> int:
    parser = argparse.ArgumentParser(description="Install one of the pinned lists and Vagus.")
    parser.add_argument("list", choices=LISTS)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    options = parser.parse_args()
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        return _fail(f"Vagus needs Python 3.11 or newer, and this is {found}")
    venv = options.venv.absolute()
    venv.mkdir(parents=True, exist_ok=True)
    with _locked(venv):
        return 0 if _holds(venv, options.list) else _fill(venv, options.list)


def _fill(venv: Path, name: str) -> int:
    started = time.monotonic()
    marker = venv / "installing"
    begun = marker.exists()
    marker.touch()
    if begun or not _of_this_python(venv):
        _empty(venv)
    for stamp in _stamps(venv, LISTS):
        stamp.unlink(missing_ok=True)
    if not (venv / "bin" / "pip").exists() and (code := _create(venv)) != 0:
        return code
    requirements = ROOT / "requirements" / f"{name}.txt"
    # Python compiles what is imported; pip would compile everything, which takes half of its time.
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--no-compile", "--no-input"]
    pip.append("--disable-pip-version-check")
    pinned = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(requirements)]
    package = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "-e", str(ROOT)]
    count = len(re.findall(r"^[^\s#]+==", requirements.read_text(), re.MULTILINE))
    for arguments, announce in ((pinned, count), (package, 0)):
        if (code := _run_pip([*pip, *arguments], announce)) != 0:
            return _fail("pip could not install it; its last words are above")
    marker.unlink()
    (venv / f"{name}.stamp").write_text(_digest(venv, name))
    _say(f"{_shown(venv)} is ready: {count} packages in {time.monotonic() - started:.0f} s\n")
    return 0


def _run_pip(command: list[str], count: int) -> int:
    """Run pip; count what it fetches on one line, and print what it said if it fails."""
    said, fetched = [], 0
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        close_fds=False,
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            if count and line.startswith(("Collecting ", "Requirement already")):
                fetched += 1
                _progress(f"packages {fetched}/{count}", last=fetched == count)
    if process.returncode != 0:
        _say("".join(said[-15:]))
    return process.returncode


def _progress(text: str, last: bool) -> None:
    if sys.stderr.isatty():
        _say(f"\r\033[K{text}" + (": installing\n" if last else ""))
    elif last:
        _say(f"{text}\n")


def _create(venv: Path) -> int:
    """Make the environment in ``venv``, which may hold nothing or files of ours."""
    _say(f"making {_shown(venv)} with {sys.executable}\n")
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(venv)],
        capture_output=True,
        text=True,
        check=False,
        close_fds=False,
    )
    if made.returncode == 0:
        return 0
    _say(made.stdout + made.stderr)
    return _fail("this Python can't make an environment; on Debian: apt install python3-venv")


def _empty(venv: Path) -> None:
    """Remove everything but the lock that we hold and the marker."""
    aside = Path(tempfile.mkdtemp(prefix="old-", dir=venv))
    for entry in venv.iterdir():
        if entry.name not in ("lock", "installing", aside.name):
            entry.replace(aside / entry.name)
    shutil.rmtree(aside, ignore_errors=True)


def _holds(venv: Path, name: str) -> bool:
    """Whether the list ``name``, or one that holds it, is installed already."""
    wider = LISTS[LISTS.index(name) :]
    return any(
        stamp.is_file() and stamp.read_text() == _digest(venv, stamp.stem)
        for stamp in _stamps(venv, wider)
    )


def _stamps(venv: Path, names: tuple[str, ...]) -> list[Path]:
    return [venv / f"{name}.stamp" for name in names]


def _of_this_python(venv: Path) -> bool:
    """Whether ``venv`` is new, or was made by the Python version that is running."""
    if not (venv / "bin").exists():
        return True
    return (venv / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}").is_dir()


def _digest(venv: Path, name: str) -> str:
    """What an environment with the list ``name`` is made from."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {venv}".encode())
    for path in (ROOT / "requirements" / f"{name}.txt", ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _locked(venv: Path) -> Iterator[None]:
    with (venv / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another installation into {_shown(venv)}\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _shown(path: Path) -> str:
    return os.path.relpath(path)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _fail(message: str) -> int:
    _say(f"{message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
