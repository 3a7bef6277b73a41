from __future__ import annotations

from pathlib import Path

import pytest

from vagus import config
from vagus.errors import ConfigError
from vagus.policy.grants import DAY, load_grants, parse_grants

STACK = """
stack:
  chat: {kind: model-server}
  vectors: {kind: vector-store}
policy: {environment: lab}
"""
SETTINGS = config.parse(STACK)
NOW = 1_000_000.0
GOOD = """\
licences:
  - action: replace
    component: chat
    owner: ada
    reason: rehearsed on staging, 12 of 12
    days: 30
"""


def test_a_grant_becomes_a_licence_that_says_whose_word_it_is() -> None:
    (licence,) = parse_grants(GOOD, SETTINGS, now=NOW)
    assert licence.manual
    assert (licence.action, licence.component, licence.environment) == ("replace", "chat", "lab")
    assert (licence.issued_by, licence.reason) == ("ada", "rehearsed on staging, 12 of 12")
    assert (licence.fault, licence.samples, licence.bound) == ("", 0, 0.0)
    assert licence.expires_at == NOW + 30 * DAY
    assert licence.valid(NOW)
    assert not licence.valid(NOW + 30 * DAY)


def test_its_identity_is_what_it_says_and_not_when_it_was_read() -> None:
    (first,) = parse_grants(GOOD, SETTINGS, now=NOW)
    (again,) = parse_grants(f"# a comment\n{GOOD}", SETTINGS, now=NOW + 99)
    (other,) = parse_grants(GOOD.replace("30", "31"), SETTINGS, now=NOW)
    elsewhere = config.parse(STACK.replace("lab", "live"))
    (there,) = parse_grants(GOOD, elsewhere, now=NOW)
    assert first.id == again.id
    assert len({first.id, other.id, there.id}) == 3


@pytest.mark.parametrize(
    ("was", "written", "line", "said"),
    [
        ("replace", "replase", 2, "unknown action 'replase'"),
        ("replace", "rollback", 2, "people decide each time"),
        ("chat", "chta", 3, "'chta' is not in stack"),
        ("ada", "vagus", 4, "nobody who can vouch"),
        ("ada", "' '", 4, "nobody who can vouch"),
        ("ada", "''", 4, "owner"),
        ("30", "0", 6, "days"),
        ("30", "366", 6, "days"),
        ("30", "'30'", 6, "days"),
        ("30", "true", 6, "days"),
        ("days", "dayz", 6, "unknown key 'dayz'"),
        ("    days: 30\n", "", 2, "days"),
        ("    days: 30\n", "    days: 30\n    fault: replica-gon\n", 7, "unknown fault"),
        ("licences:", "licenses:", 1, "unknown key 'licenses'"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(was: str, written: str, line: int, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_grants(GOOD.replace(was, written), SETTINGS, now=NOW, faults=["replica-gone"])
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"licences.yaml:{line}: ")


def test_the_same_grant_twice_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"licences.yaml:7: this grant stands twice"):
        parse_grants(GOOD + GOOD.removeprefix("licences:\n"), SETTINGS, now=NOW)


@pytest.mark.parametrize("text", ["", "[]", "licences: 3", "licences: [3]", "- a"])
def test_what_is_no_list_of_grants(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_grants(text, SETTINGS, now=NOW)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"policy\.licences"):
        load_grants(tmp_path / "licences.yaml", SETTINGS, now=NOW)
    (tmp_path / "licences.yaml").write_text(GOOD)
    assert len(load_grants(tmp_path / "licences.yaml", SETTINGS, now=NOW)) == 1
