"""The fleet as its callers see it: two forms of the same numbers, series that come and go, bad
input, what is learned and what isn't."""

from __future__ import annotations

import copy
import importlib.util

import numpy as np
import pytest

from vagus.detection.baseline import FAMILIES, Budget, Fleet, Scores
from vagus.detection.baseline.single import Single
from vagus.errors import MissingExtra

NUMBA = importlib.util.find_spec("numba") is not None
needs_numba = pytest.mark.skipif(not NUMBA, reason="numba is not installed (the extra 'fast')")
START = 1_700_000_000.0


def names(many: int) -> list[str]:
    return [f"series-{number}" for number in range(many)]


def plain(many: int, tick: float = 1.0, **traits: object) -> Fleet:
    fleet = Fleet(tick, Budget(1, 86400.0), fast=False)
    fleet.add(names(many), **traits)  # type: ignore[arg-type]
    return fleet


def run(fleet: Fleet, ticks: int, seed: int = 0, mean: float = 10.0) -> Scores:
    random = np.random.default_rng(seed)
    for _ in range(ticks):
        scores = fleet.update(random.normal(mean, 1.0, len(fleet)))
    return scores


def until_opened(fleet: Fleet, row: int, value: float, most: int, seed: int = 9) -> int | None:
    """Ticks until ``row`` alarms when it has ``value`` on top and the others go on."""
    random = np.random.default_rng(seed)
    for number in range(1, most + 1):
        values = random.normal(10.0, 1.0, len(fleet))
        values[row] += value
        if fleet.update(values).opened[row]:
            return number
    return None


@needs_numba
def test_both_forms_say_the_same() -> None:
    random = np.random.default_rng(0)
    many = 48
    traits = {"group": np.arange(many) // 4, "direction": random.integers(-1, 2, many)}
    forms = [Fleet(300.0, Budget(5, 86400.0), fast=fast) for fast in (True, False)]
    for fleet in forms:
        fleet.add(names(many), floor=0.01, **traits)
    for tick in range(900):
        values = random.normal(10.0, 1.0, many) + 3 * np.sin(tick / 46)
        values[random.random(many) < 0.02] = np.nan
        values[:4] += 8.0 * (tick > 700)
        demand = np.exp(random.normal(0.0, 1.0, many))
        demand[:16] = np.nan
        values[16:] += demand[16:]
        protect = random.random(many) < 0.05
        at = START + 300.0 * tick
        one, other = (f.update(values, demand=demand, protect=protect, at=at) for f in forms)
        for field, a, b in zip(Scores._fields, one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=f"{field}, tick {tick}")
    assert forms[0].tally.alarms > 0


def test_asking_for_the_compiled_form_without_numba_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="vagus\\[fast\\]"):
        Fleet(fast=True)
    assert len(Fleet()) == 0


def test_a_step_is_found_by_the_forecast() -> None:
    fleet = plain(8)
    run(fleet, 400)
    assert until_opened(fleet, 3, 12.0, most=12) is not None


def test_the_alarm_lasts_and_goes_when_the_evidence_has_gone() -> None:
    fleet = plain(4)
    run(fleet, 400)
    random = np.random.default_rng(5)
    protect = np.array([True, False, False, False])
    opened = 0
    for _ in range(60):
        values = random.normal(10.0, 1.0, 4) + np.array([15.0, 0, 0, 0])
        scores = fleet.update(values, protect=protect)
        opened += int(scores.opened.sum())
    assert scores.alarm.tolist() == [True, False, False, False]
    for _ in range(200):
        scores = fleet.update(random.normal(10.0, 1.0, 4), protect=protect)
        opened += int(scores.opened.sum())
    assert not scores.alarm.any()
    assert opened == 1


def test_one_of_four_siblings_deviates_and_all_of_them_together_do_not() -> None:
    """A wave that moves the group, far larger than what sets its members apart."""

    def alarmed(shift: float) -> tuple[int, set[str]]:
        fleet = plain(8, group=np.repeat([0, 1], 4))
        random, found = np.random.default_rng(3), set()
        count = 0
        for tick in range(800):
            wave = 20.0 * random.standard_normal()
            values = wave + random.normal(0.0, 0.5, 8)
            values[2] += shift * (tick > 600)
            scores = fleet.update(values)
            count += int(scores.opened.sum())
            found |= {FAMILIES[f] for f in scores.family[scores.opened]}
        return count, found

    assert alarmed(0.0) == (0, set())
    count, found = alarmed(6.0)
    assert count >= 1
    assert found == {"peers"}


def test_silence_is_found_where_it_is_rare() -> None:
    fleet = plain(2)
    random = np.random.default_rng(1)
    for _ in range(600):
        mask = np.array([True, random.random() < 0.7])
        scores = fleet.update(random.normal(10.0, 1.0, 2), mask)
    assert not scores.alarm.any()
    for _ in range(40):
        scores = fleet.update(np.array([np.nan, np.nan]))
        if scores.alarm[0]:
            break
    assert scores.alarm[0]
    assert FAMILIES[scores.family[0]] == "absence"


def test_what_was_never_seen_is_novel_and_told_once() -> None:
    fleet = plain(1)
    run(fleet, 600)
    first = fleet.update(np.array([80.0]))
    again = fleet.update(np.array([80.0]))
    assert first.novelty[0] > 2.0
    assert again.novelty[0] < first.novelty[0]


def test_nothing_is_learned_under_protection() -> None:
    fleet = plain(2)
    run(fleet, 400)
    protect = np.array([True, False])
    for _ in range(300):
        scores = fleet.update(np.array([30.0, 30.0]), protect=protect)
    assert scores.expected[0] < 30.0 - 0.02 * 20.0  # only what an AR(1) remembers of the last tick
    before, after = fleet.parts()["forecast"][0][1]
    assert before == pytest.approx(10.0, abs=1.0)
    assert after == pytest.approx(30.0, abs=2.0)


def test_below_the_floor_and_in_the_good_direction_nothing_matters() -> None:
    fleet = plain(2, floor=[100.0, 0.0], direction=[0, 1])
    run(fleet, 400)
    for _ in range(50):
        scores = fleet.update(np.array([40.0, -40.0]))
        assert not scores.alarm.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_touches_no_other_series(bad: float) -> None:
    clean, dirty = plain(3), plain(3)
    random = np.random.default_rng(2)
    for tick in range(200):
        values = random.normal(10.0, 1.0, 3)
        spoiled = values.copy()
        if tick % 3 == 0:
            spoiled[1] = bad
        a, b = clean.update(values), dirty.update(spoiled)
        np.testing.assert_array_equal(a.evidence[[0, 2]], b.evidence[[0, 2]])
    assert np.isfinite(b.expected).all()


def test_huge_values_leave_finite_numbers_behind() -> None:
    fleet = plain(2)
    run(fleet, 100)
    with np.errstate(over="ignore", invalid="ignore"):
        fleet.update(np.array([1e300, 10.0]))
    scores = run(fleet, 100)
    assert np.isfinite(scores.evidence).all()


def test_series_come_and_go_without_touching_the_others() -> None:
    small, large = plain(3), plain(3)
    random = np.random.default_rng(4)
    for tick in range(150):
        if tick == 60:
            large.add(["later-1", "later-2"])
        if tick == 110:
            large.remove(["later-1", "series-1"])
            small.remove(["series-1"])
        shared = random.normal(10.0, 1.0, 3)[: len(small)]
        extra = np.full(len(large) - len(small), 5.0)
        a, b = small.update(shared), large.update(np.concatenate([shared, extra]))
        np.testing.assert_array_equal(a.p_value, b.p_value[: len(small)])
    assert large.names == ["series-0", "series-2", "later-2"]
    assert large.row("later-2") == 2


def test_the_order_of_series_does_not_matter() -> None:
    one, other = Fleet(fast=False), Fleet(fast=False)
    order = np.random.default_rng(0).permutation(12)
    group = np.arange(12) // 4
    one.add(names(12), group=group)
    other.add([names(12)[i] for i in order], group=group[order])
    random = np.random.default_rng(6)
    for _ in range(150):
        values = random.normal(10.0, 1.0, 12)
        a, b = one.update(values), other.update(values[order])
        for field, x, y in zip(Scores._fields, a, b, strict=True):
            np.testing.assert_array_equal(x[order], y, err_msg=field)


def test_names_are_unique_and_columns_fit() -> None:
    fleet = plain(2)
    with pytest.raises(ValueError, match="once"):
        fleet.add(["series-0"])
    with pytest.raises(ValueError, match="2 series"):
        fleet.update(np.zeros(3))
    with pytest.raises(KeyError):
        fleet.remove(["nobody"])


def test_relearning_forgets() -> None:
    fleet = plain(2)
    run(fleet, 200)
    fleet.relearn(["series-1"])
    assert np.isnan(fleet.update(np.array([10.0, 500.0])).p_value).tolist() == [False, True]


def test_a_series_takes_at_most_one_and_a_half_kilobytes() -> None:
    assert plain(10).bytes_per_series <= 1500


def test_a_day_is_learned() -> None:
    """On the third day the swing is expected, not chased."""
    fleet = plain(1, tick=300.0)
    errors = []
    for tick in range(5 * 288):
        at = START + 300.0 * tick
        x = 20.0 * np.sin(2 * np.pi * at / 86400.0)
        scores = fleet.update(np.array([x]), at=at)
        errors.append(abs(x - scores.expected[0]))
    assert np.mean(errors[4 * 288 :]) < 0.25


def test_one_series_as_in_a_notebook() -> None:
    single = Single(fast=False)
    random = np.random.default_rng(0)
    for value in random.normal(10.0, 1.0, 300):
        single.learn_one(float(value))
    before = copy.deepcopy(single)
    assert single.score_one(10.1) < single.score_one(60.0)
    assert single.update(10.0).evidence[0] == before.update(10.0).evidence[0]
    protected = single.protect_one(60.0)
    assert protected.score[0] > 0
