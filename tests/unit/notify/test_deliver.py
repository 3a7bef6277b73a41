"""What is news arrives, at real receivers, however long they are away; nobody waits for them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from vagus.clock import SystemClock
from vagus.config import NotifyTarget, Occasion
from vagus.model import (
    Ask,
    Cause,
    Finding,
    Proposal,
    Purpose,
    Remedy,
    Request,
    Sense,
    Sheet,
    Subject,
    Symptom,
    Tier,
)
from vagus.notify import deliver
from vagus.notify.addresses import Address
from vagus.notify.compose import Composer
from vagus.notify.deliver import Notifier, pause_after
from vagus.state.db import Database
from vagus.state.incidents import Incidents
from vagus.state.intents import Intents
from vagus.state.ledger import Ledger
from vagus.state.outbox import Outbox
from vagus.testing.receivers import Inbox, mailbox, webhook

CHAT_2 = Subject("chat", "chat-2")
EVERYTHING = tuple(Occasion)
DEADLINE = 90.0  # s; for a machine that is busy with something else


class Stage:
    """A ledger to write news into, and a notifier that reads it."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database = database
        self.ledger = Ledger(database)
        self.incidents = Incidents(database)
        self.proposals: dict[str, Proposal] = {}
        self.outbox = Outbox(database)
        self.outbox.start()
        self._monkeypatch = monkeypatch

    def notifier(self, **urls: str) -> Notifier:
        targets = []
        for name, url in urls.items():
            self._monkeypatch.setenv(f"URL_OF_{name}", url)
            targets.append(NotifyTarget(name=name, url_env=f"URL_OF_{name}", occasions=EVERYTHING))
        compose = Composer(targets, self.incidents, Intents(self.database), self.proposals.get)
        addresses: Sequence[Address] = [Address(target) for target in targets]
        return Notifier(addresses, compose, self.outbox, self.ledger, SystemClock())

    def stop(self, reason: str) -> None:
        self.ledger.append("controls", reason, "stopped", {"by": "ada", "reason": reason})

    def propose(self) -> Proposal:
        now = SystemClock().now()
        cause = Cause("replica-hung", CHAT_2, 0.92, "chat-2 answers nobody")
        finding = Finding(CHAT_2, Symptom.HUNG, Sense.GATEWAY, now, now, "8 of 8 requests hang")
        incident = self.incidents.open(CHAT_2, cause, [finding])
        remedy = Remedy("replace", CHAT_2)
        request = Request(Purpose.TREAT, incident.id, 1, 2, 1, remedy, cause, Tier.R3)
        sheet = Sheet(
            what="replace chat/chat-2 by a new replica",
            why=("8 of 8 requests hang", "probes time out"),
            cause="replica-hung on chat/chat-2",
            confidence=0.92,
            blast_radius="1 of 3 replicas of chat",
            checks="3 good probes over 5 s",
            undo="it can't be undone: the process is gone",
            unanswered="it stays out of traffic, and a person is told",
            record="replace healed 14 of 14 times (at least 81% with 95 % confidence)",
        )
        proposal = Proposal(request, (Ask(2, "oncall"),), "b1nd", sheet, now, now + 900)
        self.proposals[proposal.id] = proposal
        self.ledger.append(f"{incident.id}:1", proposal.id, "proposed", {"id": proposal.id})
        return proposal


@pytest.fixture
def stage(database: Database, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(deliver, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(deliver, "FIRST_PAUSE", 0.05)
    return Stage(database, monkeypatch)


async def until(condition: Callable[[], bool]) -> None:
    deadline = SystemClock().monotonic() + DEADLINE
    while not condition():
        assert SystemClock().monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.02)


def mail_to(port: int) -> str:
    return f"mailto://127.0.0.1:{port}?from=vagus@example.org&to=ops@example.org&format=text"


async def test_a_proposal_arrives_at_a_webhook_and_in_a_mailbox(stage: Stage) -> None:
    hook, mail = Inbox(), Inbox()
    with webhook(hook) as port, mailbox(mail) as mail_port:
        notifier = stage.notifier(hook=f"json://127.0.0.1:{port}/in", mail=mail_to(mail_port))
        async with notifier.running():
            proposal = stage.propose()
            await until(lambda: bool(hook.arrived and mail.arrived))
            await until(lambda: stage.outbox.waiting() == 0)
    for title, text in hook.arrived + mail.arrived:
        assert title == "Vagus asks: replace chat/chat-2?"
        for needed in (
            "8 of 8 requests hang",
            "92% sure",
            "1 of 3 replicas of chat",
            "healed 14 of 14 times",
            "2 people of oncall",
            "stays out of traffic",
            f"vagus approve {proposal.id}",
            f"vagus deny {proposal.id}",
        ):
            assert needed in text
    assert len(hook.arrived) == len(mail.arrived) == 1
    assert notifier.counts["notifications_sent_total"] == 2


async def test_a_receiver_that_is_away_gets_it_when_it_is_back(stage: Stage) -> None:
    inbox = Inbox()
    with webhook(inbox) as port:
        notifier = stage.notifier(hook=f"json://127.0.0.1:{port}/in")
    async with notifier.running():  # it is closed by now
        stage.stop("release freeze")
        await until(lambda: notifier.counts["notifications_retried_total"] >= 2)
        assert inbox.arrived == []
        with webhook(inbox, port):
            await until(lambda: bool(inbox.arrived))
            await until(lambda: stage.outbox.waiting() == 0)
    assert inbox.titles == ["Vagus stands still: release freeze"]


@pytest.mark.parametrize("kind", ["webhook", "mailbox"])
async def test_a_receiver_that_refuses_is_asked_again(stage: Stage, kind: str) -> None:
    inbox = Inbox()
    inbox.refuse = True
    receiver = webhook if kind == "webhook" else mailbox
    with receiver(inbox) as port:
        url = f"json://127.0.0.1:{port}/in" if kind == "webhook" else mail_to(port)
        async with stage.notifier(target=url).running():
            stage.stop("release freeze")
            await until(lambda: inbox.refused >= 2)
            inbox.refuse = False
            await until(lambda: bool(inbox.arrived))
            await until(lambda: stage.outbox.waiting() == 0)
    assert inbox.titles == ["Vagus stands still: release freeze"]


async def test_a_target_that_hangs_keeps_no_other_and_no_loop_waiting(stage: Stage) -> None:
    inbox = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as silent, webhook(inbox) as port:
        hangs = f"json://127.0.0.1:{silent.getsockname()[1]}/?rto=1"
        notifier = stage.notifier(hangs=hangs, hook=f"json://127.0.0.1:{port}/in")
        async with notifier.running():
            for n in range(3):
                stage.stop(f"freeze {n}")
            await until(lambda: len(inbox.arrived) == 3)
            await until(lambda: stage.outbox.waiting() == 3)  # those of the one that hangs
            await until(lambda: notifier.counts["notifications_retried_total"] >= 1)


async def test_after_the_last_try_the_ledger_says_that_nobody_was_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "TRIES", 3)
    with webhook(Inbox()) as port:
        notifier = stage.notifier(hook=f"json://127.0.0.1:{port}/s3cret")
    async with notifier.running():
        stage.stop("release freeze")
        await until(lambda: notifier.counts["notifications_given_up_total"] == 1)
    (failed,) = [e for e in stage.ledger.entries() if e.event == "notify.failed"]
    assert failed.facts["target"] == "hook"
    assert failed.facts["tries"] == 3
    assert failed.facts["title"] == "Vagus stands still: release freeze"
    assert "s3cret" not in str(failed.facts)
    assert stage.outbox.waiting() == 0


async def test_what_was_not_delivered_before_a_restart_is_delivered_after(stage: Stage) -> None:
    inbox = Inbox()
    with webhook(inbox) as port:
        url = f"json://127.0.0.1:{port}/in"
        first = stage.notifier(hook=url)
    async with first.running():
        stage.stop("one")
        await until(lambda: first.counts["notifications_retried_total"] >= 1)
    stage.stop("two")  # while nobody runs
    with webhook(inbox, port):
        async with stage.notifier(hook=url).running():
            await until(lambda: len(inbox.arrived) >= 2)
            await until(lambda: stage.outbox.waiting() == 0)
    assert sorted(inbox.titles) == ["Vagus stands still: one", "Vagus stands still: two"]


async def test_a_storm_is_one_message_with_what_is_asked_first(stage: Stage) -> None:
    inbox = Inbox()
    for n in range(40):
        stage.stop(f"freeze {n}")
    proposal = stage.propose()
    with webhook(inbox) as port:
        notifier = stage.notifier(hook=f"json://127.0.0.1:{port}/in")
        while stage.outbox.fill(notifier.compose):
            pass
        async with notifier.running():
            await until(lambda: stage.outbox.waiting() == 0)
    ((title, text),) = inbox.arrived
    assert title == "Vagus: 1 proposed, 40 stopped"
    lines = text.splitlines()
    assert lines[0] == f"- Vagus asks: replace chat/chat-2?: vagus approve {proposal.id}"
    assert lines[1] == "- Vagus stands still: freeze 0"
    assert lines[-1] == "[1-hook+40]"
    assert notifier.counts["notifications_sent_total"] == 41


async def test_targets_are_told_only_what_they_asked_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URL_OF_PAGER", "json://127.0.0.1:9/")
    target = NotifyTarget(name="pager", url_env="URL_OF_PAGER")  # the default occasions
    compose = Composer([target], stage.incidents, Intents(stage.database), stage.proposals.get)
    stage.stop("freeze")
    stage.propose()
    told = [message.occasion for entry in stage.ledger.entries() for _, message in compose(entry)]
    assert told == ["proposed"]


async def test_an_entry_nobody_can_word_is_told_in_the_ledgers_own(stage: Stage) -> None:
    inbox = Inbox()
    with webhook(inbox) as port:
        async with stage.notifier(hook=f"json://127.0.0.1:{port}/in").running():
            facts = {"subject": "chat/chat-2", "note": "nothing helped"}
            stage.ledger.append("no-such-incident:1", "conclude", "escalated", facts)
            stage.stop("freeze")
            await until(lambda: len(inbox.arrived) == 2)
    assert inbox.titles[0] == "Vagus: a person is needed for chat/chat-2: nothing helped"


def test_the_pauses_double_up_to_a_limit() -> None:
    pauses = [pause_after(n) for n in range(1, deliver.TRIES)]
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert max(pauses) == deliver.LONGEST_PAUSE
    assert 3600 < sum(pauses) < 2 * 3600


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """A socket that hangs may outlive its notifier, but by no more than its timeout."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("notify"):
            thread.join(DEADLINE)
            assert not thread.is_alive()
