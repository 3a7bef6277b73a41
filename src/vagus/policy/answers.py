"""How a guard answers: three words, so that a guard reads as its rule and nothing around it."""

from __future__ import annotations

from vagus.model import Ask, Decision, GuardRuling


def allow(guard: str, reason: str, **numbers: float) -> GuardRuling:
    return GuardRuling(guard, Decision.ALLOW, reason, None, numbers)


def ask(
    guard: str, reason: str, approvers: int = 1, group: str = "", /, **numbers: float
) -> GuardRuling:
    """So many people must say yes, of this group (``""``: any approver)."""
    whom = Ask(approvers, group)
    numbers["approvers"] = float(approvers)
    return GuardRuling(guard, Decision.ASK, reason, None, numbers, whom)


def deny(
    guard: str, reason: str, *, retry_after: float | None = None, **numbers: float
) -> GuardRuling:
    """Not now; ``retry_after`` seconds later it may be otherwise (None: waiting does not help)."""
    return GuardRuling(guard, Decision.DENY, reason, retry_after, numbers)
