"""When Vagus stops believing itself, and when it starts again."""

from __future__ import annotations

import pytest

from vagus.detection.senses import STEADY_S, Senses
from vagus.model import Evidence, Failure, SensesReport, Subject
from vagus.testing.evidence import answer, probe, scrape, stack

TOPOLOGY = stack(chat=3, embed=2, rag=1)
TARGETS = TOPOLOGY.replicas()
T = 1_700_000_000.0


class Watch:
    """Scrapes every target once a second; those in ``missing`` fail."""

    def __init__(self, *, scraping: bool = True) -> None:
        self.senses = Senses(lambda: TOPOLOGY)
        self.now = T
        self.missing: dict[Subject, Failure] = {}
        self.scraping = scraping
        self.reports: list[SensesReport] = []

    def second(self, *extra: Evidence) -> SensesReport:
        self.now += 1.0
        if self.scraping:
            self.senses.observe([scrape(s, self.now - 0.2, self.missing.get(s)) for s in TARGETS])
        self.senses.observe(extra)
        self.reports.append(self.senses.report(self.now))
        return self.reports[-1]

    def seconds(self, count: int) -> list[SensesReport]:
        return [self.second() for _ in range(count)]


def test_before_anything_was_seen_nothing_is_believed() -> None:
    senses = Senses(lambda: TOPOLOGY)
    assert senses.report(T) == SensesReport(False, "nothing has been seen yet", 0, 0)


def test_ordinary_life() -> None:
    watch = Watch()
    first, *rest = watch.seconds(60)
    assert first.trusted
    assert all(report == SensesReport(True, "", 0, 6) for report in rest)


@pytest.mark.parametrize("dead", [1, 2, 3])
def test_some_dead_replicas_are_what_vagus_is_for(dead: int) -> None:
    watch = Watch()
    watch.seconds(10)
    watch.missing = dict.fromkeys(TARGETS[:dead], Failure.REFUSED)
    reports = watch.seconds(30)
    assert all(report.trusted for report in reports)
    assert reports[-1].silent == dead


@pytest.mark.parametrize("failure", [Failure.TIMEOUT, Failure.REFUSED, Failure.WRONG_TYPE])
@pytest.mark.parametrize("gone", [4, 5, 6])
def test_when_most_vanish_together_it_holds_still(gone: int, failure: Failure) -> None:
    watch = Watch()
    watch.seconds(10)
    watch.missing = dict.fromkeys(TARGETS[:gone], failure)
    watch.seconds(3)
    report = watch.second()
    assert not report.trusted
    assert f"{gone} of 6 scrape targets went missing within 0.0 s" in report.reason
    assert report.silent == gone
    # It has no way of knowing better, so it holds for as long as that lasts.
    assert not any(r.trusted for r in watch.seconds(120))


def test_it_believes_again_by_itself_after_a_steady_while() -> None:
    watch = Watch()
    watch.seconds(10)
    watch.missing = dict.fromkeys(TARGETS, Failure.TIMEOUT)
    watch.seconds(10)
    watch.missing = {}
    reports = watch.seconds(int(STEADY_S) + 2)
    assert not reports[0].trusted
    assert "steady again for" in reports[2].reason
    assert reports[-1] == SensesReport(True, "", 0, 6)


def test_one_after_the_other_over_minutes_is_believed() -> None:
    watch = Watch()
    watch.seconds(10)
    for subject in TARGETS[:5]:
        watch.missing[subject] = Failure.REFUSED
        assert all(report.trusted for report in watch.seconds(20))


def test_the_rest_vanishing_after_two_were_dead_for_long_is_not() -> None:
    watch = Watch()
    watch.seconds(10)
    watch.missing = dict.fromkeys(TARGETS[:2], Failure.REFUSED)
    assert all(report.trusted for report in watch.seconds(60))
    watch.missing = dict.fromkeys(TARGETS[:5], Failure.REFUSED)
    watch.seconds(3)
    report = watch.second()
    assert not report.trusted
    assert "3 of 4 scrape targets" in report.reason


def test_who_never_had_metrics_is_not_missed() -> None:
    """Servers without ``/metrics`` answer it with a page of their own, from the first day on."""
    watch = Watch()
    watch.missing = dict.fromkeys(TARGETS, Failure.WRONG_TYPE)
    reports = watch.seconds(30)
    assert all(report == SensesReport(True, "", 0, 0) for report in reports)


def test_nobody_there_from_the_start() -> None:
    watch = Watch()
    watch.missing = dict.fromkeys(TARGETS, Failure.REFUSED)
    assert not watch.seconds(5)[-1].trusted


def test_a_single_failed_scrape_of_everybody_is_a_hiccup() -> None:
    watch = Watch()
    watch.seconds(10)
    watch.missing = dict.fromkeys(TARGETS, Failure.TIMEOUT)
    assert watch.second().trusted
    watch.missing = {}
    assert all(report.trusted for report in watch.seconds(10))


def test_a_scraper_that_stopped_is_told_from_callers_that_go_on() -> None:
    watch = Watch()
    watch.seconds(10)
    watch.scraping = False
    reports = [watch.second(answer(TARGETS[0], watch.now)) for _ in range(12)]
    assert reports[0].trusted
    assert not reports[-1].trusted
    assert "6 of 6 scrape targets went missing" in reports[-1].reason


def test_silence_of_everything() -> None:
    watch = Watch()
    watch.seconds(10)
    watch.second(answer(TARGETS[0], watch.now))
    watch.scraping = False
    reports = watch.seconds(8)
    assert reports[0].trusted
    assert not reports[-1].trusted
    assert "scrapes, probes and the gateway's log have been silent for" in reports[-1].reason


def test_slow_grids_are_not_silence() -> None:
    """Scraped every 15 s, a target is not missing after six."""
    senses = Senses(lambda: TOPOLOGY)
    untrusted = []
    for second in range(1, 300):
        now = T + second
        if second % 15 == 1:
            senses.observe([scrape(s, now) for s in TARGETS])
        if second % 4 == 0:
            senses.observe([probe(TARGETS[0], now)])
        if not senses.report(now).trusted:
            untrusted.append(second)
    assert [second for second in untrusted if second > 60] == []


@pytest.mark.parametrize("jump", [-3600.0, -5.0, 3600.0])
def test_a_wall_clock_that_was_set(jump: float) -> None:
    watch = Watch()
    watch.seconds(20)
    watch.now += jump
    report = watch.second()
    assert not report.trusted
    assert "clock was set" in report.reason
    assert all(report.trusted for report in watch.seconds(12)[int(STEADY_S) :])


def test_targets_that_left_the_stack_are_not_missed() -> None:
    topology = [stack(chat=3)]
    senses = Senses(lambda: topology[0])
    everyone = topology[0].replicas()
    for second in range(1, 40):
        now = T + second
        if second == 10:
            topology[0] = stack(chat=1)
        senses.observe([scrape(s, now) for s in topology[0].replicas()])
        assert senses.report(now).trusted
    assert senses.report(T + 40).watched == 1
    assert len(everyone) == 3
