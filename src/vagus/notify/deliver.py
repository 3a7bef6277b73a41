"""Delivery: every message at least once, each target on its own, and nobody waits for it.

One task fills the outbox from the ledger; one task a target takes what is due for it. Whatever
blocks, tables and sockets alike, runs on threads of their own, so that neither a pager that hangs
nor a slow disk keeps the event loop or a healing workflow waiting.

A message that is not accepted is tried again after a pause that doubles, each message by itself, so
that one which a target can't stomach holds up no other. After the last try the ledger says that
nobody was told. A target that is down costs its own messages their time and no other target
anything.

Many at once, in a storm or after an outage of the target, become one message that lists them: a
hundred calls in a minute would wake nobody better, and bury the one that matters.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import structlog

from vagus.clock import Clock
from vagus.config import NotifyTarget
from vagus.entries import of_notification
from vagus.errors import ActionError
from vagus.model import Notification
from vagus.notify.templates import digest
from vagus.ports import Ledger
from vagus.state.outbox import Compose, Outbox

log = structlog.get_logger()

T = TypeVar("T")

LOOK_EVERY = 0.5  # s between two looks at the ledger and the outbox
FIRST_PAUSE = 1.0  # s until the second try; doubles from try to try ...
LONGEST_PAUSE = 600.0  # ... up to this
CROWD = 5  # messages that are due at once and still told one by one; more are told as one ...
MOST_AT_ONCE = 200  # ... of at most so many
TRIES = 16  # about 70 minutes; then it is written down that nobody was told


class Recipient(Protocol):
    """A target, ready to be sent to (:class:`~vagus.notify.addresses.Address`)."""

    name: str

    def send(self, notification: Notification) -> None: ...


class Notifier:
    """``compose`` says what is news, in words; ``recipients`` are told."""

    def __init__(
        self,
        recipients: Sequence[Recipient],
        compose: Compose,
        outbox: Outbox,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._recipients = recipients
        self.compose = compose
        self._outbox = outbox
        self._ledger = ledger
        self._clock = clock
        self._counts: Counter[str] = Counter(sent=0, retried=0, given_up=0, interrupted=0)
        self._counting = threading.Lock()
        self._threads = ThreadPoolExecutor(len(recipients) + 1, thread_name_prefix="notify")

    @property
    def counts(self) -> Mapping[str, float]:
        """For ``/metrics``."""
        return {f"notifications_{name}_total": float(n) for name, n in self._counts.items()}

    def untold(self) -> int:
        """How many messages have failed so far and are tried again."""
        return self._outbox.late() if self._recipients else 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Notify for as long as the context lasts. What waits in the end waits for the next run."""
        self._outbox.start()
        work = [self._fill, *(self._deliver_one(recipient) for recipient in self._recipients)]
        tasks = [asyncio.create_task(self._forever(step)) for step in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # A socket that hangs has its own timeout of seconds; nobody waits for it here.
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _forever(self, step: Callable[[], bool]) -> None:
        """Run ``step`` on a thread, again at once while it finds work, else after a pause. Nothing
        ends it: a state that can't be written now may be there again later, and if it is a mistake
        of ours, telling people must go on as well as it can. Both are logged and counted."""
        while True:
            try:
                busy = await asyncio.get_running_loop().run_in_executor(self._threads, step)
            except Exception as error:  # noqa: BLE001
                log.warning("notify.interrupted", error=repr(error))
                self._count("interrupted")
                busy = False
            if not busy:
                await self._clock.sleep(LOOK_EVERY)

    def _fill(self) -> bool:
        return self._outbox.fill(self.compose) > 0

    def _deliver_one(self, recipient: Recipient) -> Callable[[], bool]:
        def step() -> bool:
            due = self._outbox.due(recipient.name, limit=MOST_AT_ONCE)
            if not due:
                return False
            batch = due if len(due) > CROWD else due[:1]
            try:
                recipient.send(digest(batch) if len(batch) > 1 else batch[0])
            except ActionError as error:
                for notification in batch:
                    self._not_taken(notification, error)
            else:
                for notification in batch:
                    self._outbox.sent(notification)
                    self._count("sent")
            return True

        return step

    def _not_taken(self, notification: Notification, error: ActionError) -> None:
        failed = notification.tries + 1
        log.warning("notify.not_taken", id=notification.id, tries=failed, error=str(error))
        if failed < TRIES:
            self._outbox.later(notification, pause_after(failed))
            self._count("retried")
            return
        facts = of_notification(notification, tries=failed, why=error.message)
        self._ledger.append("notify", notification.id, "notify.failed", facts)
        self._outbox.give_up(notification)
        self._count("given_up")

    def _count(self, what: str) -> None:
        with self._counting:
            self._counts[what] += 1


def recipients_of(targets: Sequence[NotifyTarget]) -> Sequence[Recipient]:
    """Every target, ready to be sent to. Blocks: Apprise and its many services take a second to
    import, which only those pay who notify. Raises ConfigError for one that can't be used."""
    if not targets:
        return ()
    from vagus.notify.addresses import Address

    return [Address(target) for target in targets]


def pause_after(failed: int) -> float:
    """Seconds to wait after the n-th failed try."""
    return min(FIRST_PAUSE * 2.0 ** (failed - 1), LONGEST_PAUSE)
