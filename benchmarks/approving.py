"""From a person's yes to the action that it lets happen, through the real doors.

A replica of a small world is sick and its treatment is asked of people. The yes comes over HTTP, on
a socket, with a token; the workflow is a real one of the engine, on the real state in a file. Timed
is what a person would feel: from the moment at which the answer of the API has arrived to the one
at which the intent is begun, right before the order leaves. Each sample is an incident of its own,
from its first finding to its end.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
from dbos import DBOS

from vagus import durable
from vagus.api.application import build
from vagus.api.server import serve
from vagus.clock import ManualClock
from vagus.model import Ask, Decision, GuardRuling, Incident, Proposal
from vagus.testing.bench import Bench
from vagus.testing.office import Office, furnish, settings_for

PATIENCE = 60.0  # s for anything to happen
LOOK = 0.005  # s
LISTENS = "DBOS.sleep"  # the engine writes down how long it will wait for a message, then waits
_ASK = GuardRuling("tier", Decision.ASK, "a person must say so", ask=Ask(1))


def approve_to_act(samples: int, where: Path | None, say: Callable[[str], None]) -> list[float]:
    """Seconds, of so many approvals; negative where the action began before the answer of the API
    had arrived. ``where``: folder for the state; None: the system's temporary one."""
    with tempfile.TemporaryDirectory(dir=where) as folder:
        bench = Bench(Path(folder))
        bench.deny["restart"] = _ASK
        try:
            return asyncio.run(_measure(bench, Path(folder), samples, say))
        finally:
            bench.close()


async def _measure(
    bench: Bench, folder: Path, samples: int, say: Callable[[str], None]
) -> list[float]:
    settings = settings_for(folder)
    office = furnish(bench.database, ManualClock(bench.clock.now()), settings)
    served = replace(office.served, clock=bench.clock, wake=durable.promptly(bench.healer.wake))
    took = []
    async with (
        serve(build(served), settings.api) as port,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=office.headers("approver")
        ) as person,
    ):
        for number in range(samples):
            if number % 20 == 0:
                say(f"approve to act: {number} of {samples}")
            took.append(await _sample(bench, office, person))
    return took


async def _sample(bench: Bench, office: Office, person: httpx.AsyncClient) -> float:
    incident = await asyncio.to_thread(_fall_ill, bench)
    proposal = await asyncio.to_thread(_asked, bench, incident)
    answer = await person.post(f"/v1/proposals/{proposal.id}/answers", json={"yes": True})
    answered_at = bench.clock.now()
    answer.raise_for_status()
    await asyncio.to_thread(bench.heal, incident)
    (restart,) = (
        intent
        for intent in bench.intents.of_incident(incident.id)
        if intent.request.remedy.action == "restart" and intent.acted_at is not None
    )
    assert restart.acted_at is not None
    return restart.acted_at - answered_at


def _fall_ill(bench: Bench) -> Incident:
    incident = bench.sicken()
    bench.healer.ensure(incident.id, incident.epoch)
    return incident


def _asked(bench: Bench, incident: Incident) -> Proposal:
    """The question, once its workflow waits for the answer."""
    deadline = bench.clock.monotonic() + PATIENCE
    while True:
        for proposal in bench.proposals.waiting():
            if proposal.request.incident == incident.id and _waits(incident):
                return proposal
        assert bench.clock.monotonic() < deadline, f"nothing is asked about {incident.id}"
        asyncio.run(bench.clock.sleep(LOOK))


def _waits(incident: Incident) -> bool:
    """Whether it has looked at its question and found no answer: now it listens."""
    steps = [str(step["function_name"]) for step in DBOS.list_workflow_steps(incident.workflow_id)]
    while steps and steps[-1] == LISTENS:
        steps.pop()
    return bool(steps) and steps[-1].endswith("hear")
