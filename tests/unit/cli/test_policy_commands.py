"""``vagus policy``: what it prints, and how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vagus.cli import app
from vagus.clock import ManualClock
from vagus.entries import of_intent, of_ruling
from vagus.errors import ConfigError, VagusError
from vagus.model import Cause, Decision, Intent, IntentState
from vagus.policy.gate import judge
from vagus.state.db import open_database
from vagus.state.incidents import Incidents
from vagus.state.ledger import Ledger
from vagus.testing.cases import CHAT, a_finding, a_request, an_intent, some_facts

RULES = """\
rules:
  - name: not-at-night
    when: action == 'restart' && (hour >= 22 || hour < 6)
    then: deny
    because: nobody is there who could help
  - name: two-for-stores
    when: kind == 'vector-store'
    then: {ask: {approvers: 2, group: dba}}
    because: it keeps data
"""
CASES = """\
rules: rules.yaml
facts: {action: restart, kind: model-server, hour: 12, confidence: 1}
cases:
  - {name: by day, expect: allow}
  - {name: at night, facts: {hour: 3}, expect: deny, rule: not-at-night}
  - {name: a store, facts: {kind: vector-store}, expect: ask, approvers: 2, group: dba}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "cases.yaml").write_text(CASES)
    (tmp_path / "vagus.yaml").write_text(
        "stack: {chat: {kind: model-server, replicas: {chat-1: http://127.0.0.1:1}}}\n"
        "policy: {rules: rules.yaml, approvers: {dba: [ann, bob]}}\n"
    )
    return tmp_path


def policy(folder: Path, *words: str | Path) -> Result:
    call = ["policy", *map(str, words), "-c", str(folder / "vagus.yaml")]
    return CliRunner().invoke(app, call)


def error(result: Result) -> VagusError:
    assert isinstance(result.exception, VagusError), result.output
    return result.exception


# --- check ----------------------------------------------------------------------------------------


def test_rules_that_are_good(folder: Path) -> None:
    result = policy(folder, "check")
    assert result.exit_code == 0, result.output
    assert "rules.yaml: good: 2 rules, digest " in result.output
    told = json.loads(policy(folder, "check", "--json").output)
    assert told["ok"] is True
    assert told["rules"] == 2
    assert told["groups_checked"] is True
    assert len(told["digest"]) == 64


def test_without_a_configuration_it_says_what_was_not_checked(folder: Path) -> None:
    (folder / "vagus.yaml").unlink()
    result = policy(folder, "check", folder / "rules.yaml")
    assert result.exit_code == 0
    assert "groups and components were not checked" in result.output


def test_a_mistake_is_one_line_and_exit_code_2(folder: Path) -> None:
    (folder / "rules.yaml").write_text(RULES.replace("kind ==", "knid =="))
    told = error(policy(folder, "check"))
    assert told.exit_code == 2
    assert str(told) == (
        f"{folder}/rules.yaml:7:11: rule 'two-for-stores': unknown fact 'knid' "
        "(did you mean 'kind'?)"
    )


def test_faults_of_the_catalogue_are_known(folder: Path) -> None:
    (folder / "rules.yaml").write_text(
        RULES.replace("kind == 'vector-store'", "fault == 'replica-hang'")
    )
    assert "did you mean 'replica-hung'?" in str(error(policy(folder, "check")))


def test_no_rules_to_check(folder: Path) -> None:
    (folder / "vagus.yaml").write_text("stack: {chat: {kind: cache}}\n")
    assert "names no rules" in str(error(policy(folder, "check")))


# --- test -----------------------------------------------------------------------------------------


def test_cases_that_pass(folder: Path) -> None:
    result = policy(folder, "test", folder / "cases.yaml")
    assert result.exit_code == 0, result.output
    assert result.output == f"{folder}/cases.yaml: 3 of 3 cases pass\n"


def test_cases_that_fail_say_what_was_given_and_why(folder: Path) -> None:
    (folder / "cases.yaml").write_text(
        CASES.replace("by day, expect: allow", "by day, expect: deny")
        + "  - {name: wrong rule, facts: {hour: 3}, expect: deny, rule: two-for-stores}\n"
        + "  - {name: too few, facts: {kind: vector-store}, expect: ask, group: dba}\n"
    )
    result = policy(folder, "test", folder / "cases.yaml")
    assert result.exit_code == 1
    assert (
        result.output
        == f"""\
{folder}/cases.yaml:4: by day
  expected deny, got allow
  because  none of 2 matches
  given    nothing of its own
{folder}/cases.yaml:7: wrong rule
  expected it of two-for-stores, got it of not-at-night
  because  not-at-night denies: nobody is there who could help
  given    hour 3
{folder}/cases.yaml:8: too few
  expected to ask 1 person of dba, got 2 people of dba
  because  two-for-stores asks 2 people of dba: it keeps data
  given    kind vector-store
{folder}/cases.yaml: 2 of 5 cases pass
"""
    )
    told = json.loads(policy(folder, "test", folder / "cases.yaml", "--json").output)
    assert told["failed"] == 3
    assert told["cases"][1] == {
        "name": "at night",
        "line": 5,
        "passed": True,
        "decision": "deny",
        "rules": ["not-at-night"],
        "reason": "not-at-night denies: nobody is there who could help",
        "wrong": [],
    }


def test_a_fact_that_no_case_gives_denies_as_in_earnest(folder: Path) -> None:
    (folder / "cases.yaml").write_text("cases: [{name: nothing known, expect: allow}]\n")
    result = policy(folder, "test", folder / "cases.yaml")
    assert result.exit_code == 1
    assert "not-at-night denies: it can't be answered: it was not told action" in result.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("hour: 3", "huor: 3"), "5: unknown fact 'huor' (did you mean 'hour'?)"),
        (("hour: 3", "hour: three"), "5: hour: 'three' is not a whole number"),
        (("hour: 3", "hour: 3.5"), "5: hour: 3.5 is not a whole number"),
        (("hour: 3", "hour: true"), "5: hour: True is not a whole number"),
        (("rule: not-at-night", "rule: not-at-nite"), "5: there is no rule 'not-at-nite'"),
        (("kind: vector-store", "kind: store"), "6: kind is never 'store'"),
        (("expect: deny", "expect: no"), "5: cases.1.expect"),
        (("expect: deny", "expects: deny"), "5: unknown key 'expects'"),
        (("rules: rules.yaml", "rules: none.yaml"), "can't be read"),
    ],
)
def test_a_table_that_can_not_be_meant(folder: Path, change: tuple[str, str], said: str) -> None:
    (folder / "cases.yaml").write_text(CASES.replace(*change))
    told = error(policy(folder, "test", folder / "cases.yaml"))
    assert isinstance(told, ConfigError)
    assert said in str(told)


def test_what_the_docs_show_is_so(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "write-rules.md"
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
        title = re.match(r"# (\S+\.yaml)\n", block)
        if title is None:  # what is added to the configuration
            (tmp_path / "vagus.yaml").write_text("stack: {chat: {kind: cache}}\n" + block)
        else:
            (tmp_path / title[1]).write_text(block)
    assert "good: 4 rules" in policy(tmp_path, "check").output
    result = policy(tmp_path, "test", tmp_path / "cases.yaml")
    assert result.output.endswith("cases.yaml: 3 of 3 cases pass\n")
    rules = tmp_path / "rules.yaml"
    rules.write_text(rules.read_text().replace("'restart'", "'restrat'"))
    assert str(error(policy(tmp_path, "check"))).removeprefix(f"{tmp_path}/") in page.read_text()


# --- explain --------------------------------------------------------------------------------------


def decided(folder: Path) -> str:
    """An incident whose restart was denied by one guard, in the ledger as the steps write it."""
    database = open_database(f"sqlite:///{folder / 'vagus.db'}", ManualClock())
    incident = Incidents(database).open(CHAT[0], Cause("replica-gone", CHAT[0], 0.9), [a_finding()])
    request = a_request(incident=incident.id)
    ruling = judge(request, some_facts(stopped=None, ejected=frozenset({CHAT[1]})))
    assert ruling.decision is Decision.DENY
    known = an_intent(request, IntentState.REFUSED)
    intent = Intent(request, ruling, known.state, known.check, known.created_at)
    facts: Mapping[str, object] = of_intent(intent) | of_ruling(ruling)
    Ledger(database).append(f"{incident.id}:1", intent.token, "decided", facts)
    database.close()
    return incident.id


def test_who_said_what_of_each_request(folder: Path) -> None:
    name = decided(folder)
    result = policy(folder, "explain", name)
    assert result.exit_code == 0, result.output
    assert f"{name}:1:0:1: restart chat/chat-1 to treat, R1: deny" in result.output
    assert "  deny   capacity_floor  1 of 3 replicas would stay in traffic" in result.output
    assert "floor 1.5" in result.output
    assert "guards allow it" in result.output
    assert "kill_switch" not in result.output
    assert "kill_switch" in policy(folder, "explain", name, "--all").output


def test_the_same_for_machines(folder: Path) -> None:
    name = decided(folder)
    told = json.loads(policy(folder, "explain", name, "--json").output)
    assert told["incident"]["id"] == name
    (request,) = told["requests"]
    assert request["token"] == f"{name}:1:0:1"
    floor = next(g for g in request["guards"] if g["guard"] == "capacity_floor")
    assert floor["decision"] == "deny"
    assert floor["numbers"]["floor"] == 1.5


def test_an_incident_that_is_not_there(folder: Path) -> None:
    decided(folder)
    assert error(policy(folder, "explain", "inc-0")).where == "inc-0"
