from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from vagus import config
from vagus.config import FreezeWindow
from vagus.errors import ConfigError
from vagus.model import Decision, Purpose
from vagus.policy.guards.freeze import freeze
from vagus.testing.cases import a_policy, a_request, some_facts

VIENNA = "Europe/Vienna"


def window(start: str, until: str, *days: str, zone: str = "UTC", reason: str = "x") -> object:
    return FreezeWindow.model_validate(
        {"from": start, "until": until, "days": days, "timezone": zone, "reason": reason}
    )


def at(when: str, zone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(when).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def left(when: float, *windows: object) -> float | None:
    """How long it is frozen for, or None."""
    policy = a_policy().model_copy(update={"freeze": windows})
    said = freeze(a_request(), some_facts(policy=policy, now=when))
    assert (said.decision is Decision.DENY) == (said.retry_after is not None)
    return said.retry_after


NIGHT = window("18:00", "08:00")
LUNCH = window("12:00", "13:30", "mon", "fri")
WEEKEND_NIGHT = window("22:00", "06:00", "sat")
XMAS = window("2026-12-24 18:00", "2026-12-27 08:00")
HOUR = 3600.0


@pytest.mark.parametrize(
    ("why", "when", "opened", "hours"),
    [
        ("before", "2026-11-24 17:59:59", NIGHT, None),
        ("at its start", "2026-11-24 18:00", NIGHT, 14.0),
        ("past midnight", "2026-11-25 07:00", NIGHT, 1.0),
        ("at its end", "2026-11-25 08:00", NIGHT, None),
        ("a friday", "2026-11-27 12:30", LUNCH, 1.0),
        ("a thursday", "2026-11-26 12:30", LUNCH, None),
        ("a friday afternoon", "2026-11-27 13:30", LUNCH, None),
        ("the night that begins on saturday", "2026-11-28 23:00", WEEKEND_NIGHT, 7.0),
        ("... goes on into sunday", "2026-11-29 05:00", WEEKEND_NIGHT, 1.0),
        ("the night before does not", "2026-11-28 05:00", WEEKEND_NIGHT, None),
        ("sunday night is another", "2026-11-29 23:00", WEEKEND_NIGHT, None),
        ("before the holidays", "2026-12-24 17:59", XMAS, None),
        ("in the holidays", "2026-12-26 08:00", XMAS, 24.0),
        ("after the holidays", "2026-12-27 08:00", XMAS, None),
        ("a year later", "2027-12-25 12:00", XMAS, None),
    ],
)
def test_windows(why: str, when: str, opened: object, hours: float | None) -> None:
    assert left(at(when), opened) == (None if hours is None else pytest.approx(hours * HOUR)), why


def test_times_are_those_of_its_timezone() -> None:
    night = window("18:00", "08:00", zone=VIENNA)
    assert left(at("2026-11-24 17:30"), night) == pytest.approx(13.5 * HOUR)  # 18:30 there
    assert left(at("2026-07-24 16:30"), night) == pytest.approx(13.5 * HOUR)  # 18:30 there
    assert left(at("2026-07-24 15:30"), night) is None


def test_on_the_day_on_which_clocks_are_changed_the_wall_clock_counts() -> None:
    night = window("01:00", "04:00", zone=VIENNA)
    longer = at("2026-10-25 01:30", VIENNA)  # 03:00 comes twice
    assert left(longer, night) == pytest.approx(3.5 * HOUR)
    shorter = at("2026-03-29 01:30", VIENNA)  # 02:30 never comes
    assert left(shorter, night) == pytest.approx(1.5 * HOUR)
    second = at("2026-10-25 02:30", VIENNA, fold=1)
    assert left(second, night) == pytest.approx(1.5 * HOUR)
    gone_by = left(second, window("02:00", "02:40", zone=VIENNA))
    assert gone_by is not None
    assert gone_by > 0


def test_of_several_the_longest_is_said_and_recoveries_pass() -> None:
    policy = a_policy().model_copy(
        update={"freeze": (NIGHT, window("2026-11-24 00:00", "2026-11-30 00:00", reason="release"))}
    )
    facts = some_facts(policy=policy, now=at("2026-11-24 20:00"))
    said = freeze(a_request(), facts)
    assert said.reason == "release: frozen until 2026-11-30 00:00 UTC"
    assert dict(said.numbers) == {"windows": 2.0, "open": 2.0, "left": pytest.approx(124 * HOUR)}
    for recovery in (
        a_request("restore", purpose=Purpose.RETURN),
        a_request("eject", purpose=Purpose.UNDO),
    ):
        assert freeze(recovery, facts).decision is Decision.ALLOW
    assert freeze(a_request("eject", purpose=Purpose.CONTAIN), facts).decision is Decision.DENY


WRITTEN = """\
stack: {{chat: {{kind: cache}}}}
policy:
  freeze:
    - reason: release
      from: {start}
      until: {until}
"""


@pytest.mark.parametrize(
    ("start", "until"),
    [
        ("18:00", "08:00"),  # 1080 and 480 to a parser of YAML 1.1
        ('"18:00"', '"08:00:30"'),
        ("2026-12-24 18:00", "2026-12-27T08:00"),
    ],
)
def test_times_are_read_as_they_are_written(start: str, until: str) -> None:
    settings = config.parse(WRITTEN.format(start=start, until=until))
    (read,) = settings.policy.freeze
    assert f"{read.start:%H:%M}" == "18:00"
    assert f"{read.until:%H:%M}" == "08:00"


@pytest.mark.parametrize(
    ("start", "until", "line", "said"),
    [
        ("18", "08:00", 5, "18 is not a time"),  # eighteen seconds past midnight
        ("1800", "08:00", 5, "1800 is not a time"),
        ("18:00", "24:00", 6, "no time that there is"),
        ("9:00", "18:00", 5, "not a time"),
        ("18:00+02:00", "19:00", 5, "not a time"),
        ("2026-12-24", "2026-12-27", 5, "not a time"),
        ("2026-02-30 18:00", "2026-12-27 08:00", 5, "no time that there is"),
        ("2026-12-27 18:00", "2026-12-24 08:00", 4, "'until' lies before 'from'"),
        ("18:00", "2026-12-24 08:00", 4, "both"),
        ("18:00", "18:00", 4, "no time at all"),
    ],
)
def test_what_is_no_time_is_refused(start: str, until: str, line: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        config.parse(WRITTEN.format(start=start, until=until))
    assert str(caught.value).startswith(f"vagus.yaml:{line}: ")
