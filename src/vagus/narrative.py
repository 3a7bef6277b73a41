"""The ledger's events as sentences for a person.

One place, so that the live view, ``vagus incidents`` and the demo tell the same story in the same
words. An event that nobody taught this module is told by its name rather than left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_VERBS = {
    "eject": "takes {target} out of traffic",
    "drain": "drains {target}: no new traffic",
    "weight": "gives {target} {share} of its traffic",
    "restore": "gives {target} its full traffic back",
    "restart": "restarts {target}",
    "replace": "replaces {target}",
    "rebuild-index": "builds the index of {target} anew",
    "vacuum": "cleans up {target}",
}
_DONE = {
    "eject": "{target} is out of traffic",
    "drain": "{target} gets no new traffic",
    "weight": "{target} gets {share} of its traffic",
    "restore": "{target} has its full traffic back",
    "restart": "{target} is restarted",
    "replace": "{target} is replaced",
    "rebuild-index": "{target} has a new index, the old one is kept aside",
    "vacuum": "{target} is cleaned up",
}


@dataclass(frozen=True)
class Line:
    """A sentence and its tone: ``bad``, ``plan``, ``act``, ``good``, ``ask`` or ``info``."""

    tone: str
    text: str


def narrate(event: str, facts: Mapping[str, object]) -> Line:
    """One event of the ledger as a line."""

    def fact(key: str) -> str:
        value = facts.get(key)
        return "" if value is None else str(value)

    match event:
        case "started":
            return Line("info", f"vagus {fact('version')} watches, mode {fact('mode')}")
        case "finding.opened":
            return Line("bad", f"{fact('sense')}: {fact('sentence')}")
        case "finding.closed":
            return Line("info", f"{fact('sense')} no longer finds {fact('subject')} "
                                f"{fact('symptom')}")  # fmt: skip
        case "incident.opened":
            return Line("bad", f"incident: {fact('fault')} on {fact('subject')}")
        case "planned":
            ladder = facts.get("ladder")
            steps = ", then ".join(map(str, ladder)) if isinstance(ladder, list) else ""
            reasons = facts.get("reasons")
            learned = "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""
            plan = f"plan: {steps or 'nothing can be done here'}"
            return Line("plan", f"{plan} ({learned})" if learned else plan)
        case "decided":
            return _decided(facts)
        case "applied":
            return Line("act", _phrase(_DONE, facts))
        case "failed":
            return Line("bad", f"{fact('action')} of {fact('target')} failed: {fact('note')}")
        case "verdict":
            tone = "good" if fact("outcome") == "healed" else "bad"
            return Line(tone, f"{fact('subject')} {fact('outcome')}: {fact('sentence')}")
        case "resolved":
            return Line("good", f"resolved: {fact('fault')} on {fact('subject')}")
        case "restored":
            return Line("ask", f"{fact('note')} (up to entry {fact('head').partition(':')[0]})")
        case "subsided":
            return Line("info", f"{fact('subject')}: {fact('note')}")
        case "escalated":
            return Line("ask", f"a person is needed for {fact('subject')}: {fact('note')}")
        case "shadowed":
            return Line("ask", f"{fact('subject')}: {fact('note')}")
        case _:
            untaught = " ".join([event, fact("subject"), fact("note")]).strip()
            return _of_people(event, facts) or Line("info", untaught)


def _of_people(event: str, facts: Mapping[str, object]) -> Line | None:
    """What people are asked, say and are told, and what was learned of a remedy."""

    def fact(key: str) -> str:
        value = facts.get(key)
        return "" if value is None else str(value)

    match event:
        case "proposed":
            asks = facts.get("asks")
            whom = " and ".join(map(str, asks)) if isinstance(asks, list) else ""
            return Line("ask", f"asks {whom}: {fact('what')}? vagus approve {fact('id')}")
        case "proposal.approved" | "proposal.denied":
            answers = facts.get("answers")
            people = [str(a["by"]) for a in answers] if isinstance(answers, list) else []
            yes = event == "proposal.approved"
            said = f"{' and '.join(people)} said {'yes' if yes else 'no'} to: {fact('what')}"
            return Line("good" if yes else "bad", said)
        case "proposal.expired" | "proposal.void":
            return Line("info", f"{fact('what')} is no longer asked: {fact('note')}")
        case "injection.decided" if fact("decision") == "allow":
            return Line("ask", f"experiment {fact('experiment')}, by {fact('by')}: {fact('does')}")
        case "injection.decided":
            return Line("info", f"experiment {fact('experiment')} is refused: {fact('reason')}")
        case "injection.ended":
            note = f": {fact('note')}" if fact("note") else ""
            return Line("info", f"experiment {fact('experiment')}, {fact('fault')} on "
                                f"{fact('subject')}, {fact('outcome')}{note}")  # fmt: skip
        case "learned":
            return Line("info", fact("record"))
        case "licence.issued":
            kind = "by hand" if facts.get("manual") else "earned"
            fault = fact("fault") or "any fault"
            return Line("good", f"licence ({kind}, {fact('issued_by')}): {fact('action')} on "
                                f"{fact('component')} may act alone for {fault}: "
                                f"{fact('reason')}")  # fmt: skip
        case "licence.revoked":
            return Line("bad", f"{fact('action')} on {fact('component')} lost its licence: "
                               f"{fact('because')}")  # fmt: skip
        case "notify.failed":
            return Line("bad", f"{fact('target')} could not be told ({fact('tries')} tries, "
                               f"{fact('why')}): {fact('title')}")  # fmt: skip
        case "called":
            note = f" ({fact('note')})" if fact("note") else ""
            return Line("info", f"{fact('by')}, through the API: {fact('call')}: "
                                f"{fact('result')}{note}")  # fmt: skip
        case "token.created":
            return Line("info", f"{fact('name')} may act as {fact('role')}, by a token that "
                                f"{fact('by')} made")  # fmt: skip
        case "token.revoked":
            return Line("info", f"a token of {fact('name')} is revoked by {fact('by')}")
        case "stopped":
            return Line("ask", f"kill switch set by {fact('by')}: {fact('reason')}")
        case "resumed":
            return Line("info", f"kill switch lifted by {fact('by')}")
        case "mode":
            return Line("info", f"mode {fact('mode') or 'as configured'}, said {fact('by')}: "
                                f"{fact('reason')}")  # fmt: skip
    return None


def _decided(facts: Mapping[str, object]) -> Line:
    what = _phrase(_VERBS, facts)
    match facts.get("state"):
        case "written":
            return Line("plan", f"allowed ({facts.get('tier')}): {what}")
        case "shadow":
            return Line("plan", f"shadow: would have been allowed: {what}")
        case _:
            return Line("ask", f"{facts.get('decision')}: {what}: {facts.get('reason')}")


def _phrase(phrases: Mapping[str, str], facts: Mapping[str, object]) -> str:
    action, target, share = facts.get("action"), facts.get("target"), facts.get("share")
    phrase = phrases.get(str(action), f"{action} {{target}}")
    percent = f"{share:.0%}" if isinstance(share, float) else "a share"
    return phrase.format(target=target, share=percent)
