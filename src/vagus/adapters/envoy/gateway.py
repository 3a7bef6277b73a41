"""EnvoyGateway: Envoy steered by endpoint files, and asked whether it follows.

Envoy watches the folder and takes a file when it is renamed into place, so a reader can meet the
old document or the new one and never half of one. It says in its stats which version is in force:
the last word on whether an operation took effect is Envoy's, not the file's.

The files are not synced to disk. They are no record of anything: the overrides are, and after a
power failure the first reconciliation writes what is missing. What syncing would buy is paid for on
the reflex path, and a busy disk can make that seconds.

A file is written when its content changes *or* when Envoy does not say that it follows the one that
is there (it was refused, lost or overwritten), so that applying the same traffic again mends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from vagus.adapters.envoy import endpoints
from vagus.adapters.envoy.admin import Admin, Subscription, TopologyNow, held_out
from vagus.clock import Clock
from vagus.config import EnvoySettings
from vagus.errors import ActionError, NotAcknowledged, SourceError
from vagus.model import Endpoint, Subject, Traffic

ACKNOWLEDGED_WITHIN = 3.0  # s; Envoy takes 10 ms, and 100 ms on a busy machine
POLL = 0.01  # s between two looks at what is in force

_READABLE = 0o644  # Envoy may run as another user


@dataclass(frozen=True)
class _Change:
    """A document to be put in force."""

    path: Path
    version: str
    text: str
    last_good: str | None  # what it takes the place of, if that is in force


class EnvoyGateway:
    """Implements :class:`~vagus.ports.Gateway`."""

    def __init__(
        self,
        settings: EnvoySettings,
        session: aiohttp.ClientSession,
        clock: Clock,
        topology: TopologyNow,
        *,
        timeout: float = ACKNOWLEDGED_WITHIN,
    ) -> None:
        self._dir = settings.dir
        self._admin = Admin(settings.admin, session)
        self._clock = clock
        self._topology = topology
        self._timeout = timeout
        self._one_at_a_time = asyncio.Lock()

    def routes(self, component: str) -> bool:
        """Whether the gateway takes this component's endpoints from us: there is a file for it."""
        return (self._dir / endpoints.file_name(component)).is_file()

    async def apply(self, traffic: Traffic, operation: str) -> None:
        async with self._one_at_a_time:
            before = await self._before(traffic)
            changes = {
                component: change
                for component, wanted in traffic.items()
                if (change := self._change(component, wanted, operation, before.get(component)))
            }
            for change in changes.values():
                _put(change.path, change.text)
            if changes:
                await self._until_in_force(changes, before)

    async def ejected(self) -> frozenset[Subject]:
        return held_out(await self._admin.hosts(), self._topology())

    async def _before(self, traffic: Traffic) -> Mapping[str, Subscription]:
        """What is in force. If Envoy doesn't say, the files are written all the same: it takes them
        when it comes back."""
        try:
            return await self._admin.subscriptions(list(traffic))
        except SourceError:
            return {}

    def _change(
        self,
        component: str,
        wanted: tuple[Endpoint, ...],
        operation: str,
        seen: Subscription | None,
    ) -> _Change | None:
        """What to write; None if the file holds it already and Envoy follows."""
        path = self._dir / endpoints.file_name(component)
        present = _text_of(path)
        version = endpoints.version_of(present) if present is not None else None
        in_force = seen.version if seen is not None else None
        followed = present if version is not None and version == in_force else None
        if version is not None and followed == endpoints.render(component, wanted, version):
            return None
        fresh = _unused(operation, {version, in_force})
        return _Change(path, fresh, endpoints.render(component, wanted, fresh), followed)

    async def _until_in_force(
        self, changes: Mapping[str, _Change], before: Mapping[str, Subscription]
    ) -> None:
        deadline = self._clock.monotonic() + self._timeout
        while True:
            silence = ""
            seen: Mapping[str, Subscription] = {}
            try:
                seen = await self._admin.subscriptions(list(changes))
            except SourceError as error:
                silence = error.message
            missing = [
                name
                for name, change in changes.items()
                if name not in seen or seen[name].version != change.version
            ]
            if not missing:
                return
            for name in missing:
                if name in seen and name in before and seen[name].refused > before[name].refused:
                    raise _refused(name, changes[name])
            if self._clock.monotonic() >= deadline:
                raise self._not_acknowledged(missing[0], changes[missing[0]], seen, silence)
            await self._clock.sleep(POLL)

    def _not_acknowledged(
        self,
        component: str,
        change: _Change,
        seen: Mapping[str, Subscription],
        silence: str,
    ) -> NotAcknowledged:
        if silence:
            return NotAcknowledged(
                f"{change.version} is written, but {silence}", where=self._admin.address
            )
        if component not in seen:
            return NotAcknowledged(
                f"Envoy has no cluster {component!r} that takes its endpoints from a file",
                where=self._admin.address,
                mend=f"name the cluster {component} and let it read {change.path}",
            )
        return NotAcknowledged(
            f"Envoy still follows {seen[component].version!r} and not {change.version!r} "
            f"after {self._timeout:g} s",
            where=str(change.path),
            mend="does its cluster read this file, and may Envoy's user read it?",
        )


def _refused(component: str, change: _Change) -> ActionError:
    """Envoy goes on with the last good document; so that it would after a restart too, that one is
    put back into the file."""
    if change.last_good is not None:
        _put(change.path, change.last_good)
    return ActionError(
        f"Envoy rejected the endpoints of {component} and goes on with the last good ones",
        where=str(change.path),
        mend="Envoy's log says what it can't accept",
    )


def _unused(operation: str, taken: set[str | None]) -> str:
    """``operation``, marked if that is the version there is: an old acknowledgement must not be
    taken for the new one."""
    names = itertools.chain([operation], (f"{operation}~{n}" for n in itertools.count(2)))
    return next(name for name in names if name not in taken)


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise _unusable(path, error, "read") from error


def _put(path: Path, text: str) -> None:
    """Rename ``text`` into place. Raises ActionError, and leaves no other file behind."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), _READABLE)
                file.write(text)
            os.replace(name, path)  # noqa: PTH105 - a Path here would only be made of the name again
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108
            raise
    except OSError as error:
        raise _unusable(path, error, "written") from error


def _unusable(path: Path, error: OSError, verb: str) -> ActionError:
    if isinstance(error, FileNotFoundError):
        mend = f"there is no folder {path.parent}: start the gateway, or correct gateway.envoy.dir"
    elif isinstance(error, PermissionError):
        mend = f"let the user that runs vagus write into {path.parent}"
    else:
        mend = ""
    reason = error.strerror or str(error)
    return ActionError(f"can't be {verb}: {reason}", where=str(path), mend=mend)
