"""From cases to rows and figures, and cases that are kept between runs."""

from __future__ import annotations

from pathlib import Path

from benchmarks import reaction
from benchmarks.reaction.case import FULL, QUICK, Case, Kept
from benchmarks.reaction.rig import FAULTS
from benchmarks.report import Options

PEERS = ("vagus", "tuned", "default")


def case(
    system: str, fault: str, run: int, safe: float | None, bad: int = 0, slow: int = 0
) -> Case:
    return Case(system, fault, run, 3_000, bad, slow, safe, {}, 100.0, 1.0)


def measured(*cases: Case) -> tuple[list[dict[str, object]], dict[str, float]]:
    rows = [dict(row) for row in reaction.rows_of(cases)]
    return rows, dict(reaction.figures_of(rows))  # type: ignore[arg-type]


def test_the_figures_bear_the_agreed_names() -> None:
    cases = [case(system, fault, 1, 1.0, 2, 3) for system in PEERS for fault in FAULTS]
    _, figures = measured(*cases)
    names = (
        *("safe_s_median", "safe_s_max", "garbage_bad_requests", "cut_bad_requests"),
        *("500_bad_requests", "slow_requests", "kill_failed_requests", "stop_failed_requests"),
    )
    assert figures.keys() == {f"{system}_{name}" for system in PEERS for name in names}
    assert figures["vagus_slow_requests"] == 3
    assert figures["vagus_cut_bad_requests"] == 2


def test_a_row_is_the_median_of_its_runs_with_their_range() -> None:
    runs = [case("tuned", "cut", n, safe, bad=n) for n, safe in enumerate((0.5, 3.0, 1.0), 1)]
    (row,), figures = measured(*runs)
    assert (row["safe_s"], row["range"], row["bad"], row["runs"]) == (1.0, "0.5 to 3.0", 2, 3)
    assert figures["tuned_safe_s_max"] == 1.0


def test_never_safe_is_later_than_any_time_and_no_figure() -> None:
    runs = [case("tuned", "slow", n, safe) for n, safe in enumerate((1.0, None, None), 1)]
    (row,), figures = measured(*runs)
    assert row["safe_s"] is None
    assert row["range"] == "1.0 to never"
    assert "tuned_safe_s_max" not in figures
    assert "tuned_safe_s_median" not in figures


def test_never_safe_from_one_fault_leaves_the_median_over_faults() -> None:
    cases = [case("tuned", fault, 1, 1.0) for fault in FAULTS if fault != "slow"]
    _, figures = measured(*cases, case("tuned", "slow", 1, None))
    assert figures["tuned_safe_s_median"] == 1.0
    assert "tuned_safe_s_max" not in figures


def test_what_was_not_measured_has_no_figure() -> None:
    _, figures = measured(case("alertmanager", "kill", 1, 4.0, bad=60))
    assert figures.keys() == {
        *("alertmanager_safe_s_median", "alertmanager_safe_s_max"),
        "alertmanager_kill_failed_requests",
    }


def test_cases_are_kept_for_the_same_code_and_length_only(tmp_path: Path) -> None:
    one = case("tuned", "cut", 1, None, bad=7)
    Kept(tmp_path, "abc", FULL).add(one)
    assert Kept(tmp_path, "abc", FULL).get("tuned", "cut", 1) == one
    assert Kept(tmp_path, "abc", FULL).get("tuned", "cut", 2) is None
    assert Kept(tmp_path, "abd", FULL).get("tuned", "cut", 1) is None
    assert Kept(tmp_path, "abc", QUICK).get("tuned", "cut", 1) is None
    assert Kept(None, "abc", FULL).get("tuned", "cut", 1) is None


def test_a_full_run_meets_every_system_with_every_fault_it_is_meant_for() -> None:
    asked = {(s.key, f) for s, f in reaction.asked_of(reaction.SYSTEMS, Options())}
    assert {(system, fault) for system in PEERS for fault in FAULTS} <= asked
    assert ("alertmanager", "slow") in asked
    assert ("alertmanager", "garbage") not in asked
    quick = {f for _, f in reaction.asked_of(reaction.SYSTEMS, Options(quick=True))}
    assert quick == {reaction.QUICK_FAULT}
