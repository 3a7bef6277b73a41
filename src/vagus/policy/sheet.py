"""The sheet of a proposal: what a person needs to see in order to say yes or no.

They are asked at night, and by a machine that knows more than they do at that moment. So the sheet
says what would be done and why, in the words and with the numbers of the findings; how sure the
cause is; what it would take away; and then what is usually left out: how it will be checked, how it
is taken back, how this remedy fared before, and what happens if they go on sleeping.
"""

from __future__ import annotations

from collections.abc import Sequence

from vagus.model import Check, Finding, Remedy, Request, Ruling, Sheet, TrackRecord

AT_MOST = 8  # findings that are shown; the incident has them all


def sheet(
    request: Request,
    ruling: Ruling,
    check: Check,
    findings: Sequence[Finding],
    *,
    record: TrackRecord,
    undoable: bool,
    patience: float,
) -> Sheet:
    """``findings`` are the open ones of the incident, ``record`` that of this remedy, ``patience``
    how long the proposal waits, in seconds."""
    newest = sorted(findings, key=lambda finding: -finding.last_seen_at)
    cause = request.cause
    return Sheet(
        what=_what(request.remedy),
        why=tuple(finding.sentence for finding in newest[:AT_MOST]) + _asked(ruling),
        cause=cause.sentence or f"{cause.fault} on {cause.subject}",
        confidence=cause.confidence,
        blast_radius=_blast_radius(request, ruling),
        checks=_checks(check),
        undo=_undo(request.remedy, undoable=undoable),
        unanswered=(
            f"after {_long(patience)} it counts as no: nothing is done, traffic stays as it is, "
            "and the incident is escalated"
        ),
        record=str(record),
    )


def _what(remedy: Remedy) -> str:
    share = f" to {remedy.share:.0%} of its traffic" if remedy.action == "weight" else ""
    version = f" to {remedy.version}" if remedy.version else ""
    return f"{remedy.action} {remedy.target}{share}{version}"


def _asked(ruling: Ruling) -> tuple[str, ...]:
    """Why it is not simply done."""
    return tuple(f"asked because of {said.guard}: {said.reason}" for said in ruling.deciding)


def _blast_radius(request: Request, ruling: Ruling) -> str:
    target = request.remedy.target
    whom = f"{target}" if target.replica else f"all of {target}"
    said = {guard.guard: guard for guard in ruling.guards}
    parts = [whom]
    share = said["tier"].numbers.get("blast_radius") if "tier" in said else None
    if share is not None:
        parts.append(f"{share:.0%} of what carries callers of {target.component} now")
    if "capacity_floor" in said:
        parts.append(said["capacity_floor"].reason)
    return "; ".join(parts)


def _checks(check: Check) -> str:
    parts = [f"{check.min_probes} good probes of {check.subject} in a row over {check.hold:g} s"]
    if check.max_time_to_first_token is not None:
        parts.append(f"the first token within {check.max_time_to_first_token:.2f} s")
    parts.append(f"at most {check.max_failed_share:.0%} of callers' requests failing")
    return f"{', '.join(parts)}; a verdict after {_long(check.timeout)} at the latest"


def _undo(remedy: Remedy, *, undoable: bool) -> str:
    if undoable:
        return f"{remedy.action} is taken back at once if it makes things worse, or on your word"
    return (
        f"{remedy.action} can't be taken back; if it does not help, callers are kept away from "
        f"{remedy.target} and the next remedy is asked for"
    )


def _long(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
