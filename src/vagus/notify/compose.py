"""From an entry of the ledger to messages: is it news, for whom, in which words.

The ledger says that something happened; the tables say what is known of it. A message is written
the moment its entry is read, not when it is delivered, so it tells of then, however late it comes.
That an entry can't be put into good words must neither lose it nor hold up those behind it, so the
ledger's own sentence stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from vagus.config import NotifyTarget, Occasion
from vagus.model import Message, Proposal
from vagus.notify import templates
from vagus.ports import Incidents, Intents
from vagus.state.ledger import Entry

log = structlog.get_logger()


class Composer:
    def __init__(
        self,
        targets: Sequence[NotifyTarget],
        incidents: Incidents,
        intents: Intents,
        proposal: Callable[[str], Proposal | None],
    ) -> None:
        self._targets = targets
        self._incidents = incidents
        self._intents = intents
        self._proposal = proposal

    def __call__(self, entry: Entry) -> Iterator[tuple[str, Message]]:
        """(target, message) for everybody who wants to know."""
        occasion = templates.occasion_of(entry.event, entry.facts)
        names = [t.name for t in self._targets if occasion is not None and occasion in t.occasions]
        if occasion is not None and names:
            message = self._message(occasion, entry)
            for name in names:
                yield name, message

    def _message(self, occasion: Occasion, entry: Entry) -> Message:
        try:
            return self._in_words(occasion, entry.workflow, entry.step, entry.event, entry.facts)
        except Exception as error:  # noqa: BLE001  whatever it is, it must not hold up the rest
            log.warning("notify.not_worded", seq=entry.seq, error=repr(error))
            return templates.plain(occasion, entry.event, entry.facts)

    def _in_words(
        self,
        occasion: Occasion,
        workflow: str,
        step: str,
        event: str,
        facts: Mapping[str, object],
    ) -> Message:
        match occasion:
            case Occasion.STOPPED:
                return templates.stopped(event, facts)
            case Occasion.PROPOSED:
                proposal = self._proposal(str(facts.get("id") or step))
                if proposal is None:
                    raise LookupError(f"no proposal {step}")
                return templates.proposed(proposal)
            case Occasion.ESCALATED:
                return templates.escalated(self._case(workflow), facts)
            case Occasion.ACTED:
                return templates.acted(self._case(workflow), facts)
            case Occasion.RESOLVED:
                return templates.resolved(self._case(workflow), facts)

    def _case(self, workflow: str) -> templates.Case:
        incident = self._incidents.get(workflow.rpartition(":")[0])
        return templates.Case(
            incident,
            self._incidents.findings(incident.id),
            self._intents.of_incident(incident.id),
        )
