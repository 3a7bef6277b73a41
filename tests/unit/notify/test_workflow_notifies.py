"""From a sick replica to a person's telephone and back: the real workflow, the real receivers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vagus import healing
from vagus.config import NotifyTarget, Occasion
from vagus.model import Ask, Decision, GuardRuling, Outcome
from vagus.notify import deliver
from vagus.notify.compose import Composer
from vagus.notify.deliver import Notifier, recipients_of
from vagus.state.outbox import Outbox
from vagus.testing.bench import Bench
from vagus.testing.receivers import Inbox, mailbox, webhook

ASK = GuardRuling("tier", Decision.ASK, "a person must say so", ask=Ask(1))
DEADLINE = 120.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(deliver, "LOOK_EVERY", 0.02)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.deny["restart"] = ASK
    yield made
    made.close()


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, patience=0.5)
    made.deny["restart"] = ASK
    yield made
    made.close()


def notifier(bench: Bench, monkeypatch: pytest.MonkeyPatch, **urls: str) -> Notifier:
    targets = []
    for name, url in urls.items():
        monkeypatch.setenv(f"URL_OF_{name}", url)
        target = NotifyTarget(name=name, url_env=f"URL_OF_{name}", occasions=tuple(Occasion))
        targets.append(target)
    compose = Composer(targets, bench.incidents, bench.intents, bench.proposals.get)
    outbox = Outbox(bench.database)
    return Notifier(recipients_of(targets), compose, outbox, bench.ledger, bench.clock)


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_yes_to_the_id_in_the_message_heals_it_and_the_end_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, mail = Inbox(), Inbox()
    with webhook(hook) as port, mailbox(mail) as mail_port:
        urls = {
            "hook": f"json://127.0.0.1:{port}/",
            "mail": f"mailto://127.0.0.1:{mail_port}?from=v@example.org&to=o@example.org",
        }
        async with notifier(bench, monkeypatch, **urls).running():
            incident = bench.sicken()
            await asyncio.to_thread(bench.healer.ensure, incident.id, incident.epoch)
            await until(lambda: hook.arrived and mail.arrived)
            asked = re.search(r"vagus approve (\S+)", hook.arrived[0][1])
            assert asked is not None
            assert asked[1] in mail.arrived[0][1]
            proposal = bench.proposals.get(asked[1])
            assert proposal is not None
            await asyncio.to_thread(bench.answer, proposal, yes=True)
            await until(lambda: len(hook.arrived) == len(mail.arrived) == 2)
    asked_title, ended_title = hook.titles
    assert asked_title == "Vagus asks: restart chat/chat-2?"
    assert ended_title == "Resolved: replica-gone on chat/chat-2"
    assert mail.titles == hook.titles
    assert "chat-2 refuses" in hook.arrived[0][1]
    assert [trial.outcome for trial in bench.trials.all()] == [Outcome.HEALED]


async def test_no_answer_is_told_as_an_escalation_that_says_so(
    impatient: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox()
    with webhook(inbox) as port:
        url = f"json://127.0.0.1:{port}/"
        async with notifier(impatient, monkeypatch, hook=url).running():
            incident = impatient.sicken()
            await asyncio.to_thread(impatient.healer.ensure, incident.id, incident.epoch)
            await until(lambda: len(inbox.arrived) == 2)
    assert inbox.titles[0] == "Vagus asks: restart chat/chat-2?"
    assert inbox.titles[1] == "Vagus needs a person: replica-gone on chat/chat-2"
    body = inbox.arrived[1][1]
    assert "restart" in body.splitlines()[0]
    assert "- eject chat/chat-2: applied" in body
    assert f"vagus incidents {incident.id}" in body
