"""Guard: times in which nothing new is begun."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from vagus.config import FreezeWindow
from vagus.model import GuardRuling, Request
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_recovery

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def freeze(request: Request, facts: Facts) -> GuardRuling:
    """Within a freeze window nothing new is begun; the reason and the end are said.

    Prevents healing from changing a stack while its owners promised that nobody would: a release
    week, a night without anybody on call. Windows only forbid, and one is enough, as in Argo CD's
    sync windows a denial beats whatever allows. Recoveries pass, so a window never keeps traffic
    from replicas that are well.

    Times are those of the window's own timezone, as a clock on the wall there shows them: 18:00 is
    18:00 also on the day on which the clocks are changed.
    """
    windows = facts.policy.freeze
    ends = [(end, window) for window in windows for end in _ends(window, facts.now)]
    if not ends:
        return allow("freeze", "no window is open", windows=float(len(windows)))
    end, window = max(ends, key=lambda found: found[0])
    wait = end - facts.now
    numbers = {"windows": float(len(windows)), "open": float(len(ends)), "left": wait}
    if is_recovery(request):
        return allow("freeze", f"frozen ({window.reason}), but recoveries may finish", **numbers)
    until = datetime.fromtimestamp(end, ZoneInfo(window.timezone))
    reason = f"{window.reason}: frozen until {until:%Y-%m-%d %H:%M} {window.timezone}"
    return deny("freeze", reason, retry_after=wait, **numbers)


def _ends(window: FreezeWindow, now: float) -> Iterator[float]:
    """When ``window`` ends, for each of its openings that holds at ``now``."""
    zone = ZoneInfo(window.timezone)
    wall = datetime.fromtimestamp(now, zone).replace(tzinfo=None)
    for begin, end in _openings(window, wall):
        if begin <= wall < end:
            # At least a moment: where clocks are put back the same wall time comes twice.
            yield max(end.replace(tzinfo=zone).timestamp(), now + 1.0)


def _openings(window: FreezeWindow, wall: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Openings that could hold at ``wall``: the one between two dates, or today's and yesterday's,
    which may go on past midnight."""
    start, until = window.start, window.until
    if isinstance(start, datetime) and isinstance(until, datetime):
        yield start, until
        return
    assert isinstance(start, time)
    assert isinstance(until, time)
    for day in (wall.date(), wall.date() - timedelta(days=1)):
        if not window.days or _WEEKDAYS[day.weekday()] in window.days:
            past_midnight = timedelta(days=1 if until <= start else 0)
            yield datetime.combine(day, start), datetime.combine(day + past_midnight, until)
