"""Incidents, proposals, the ledger, licences, mode and kill switch, by people with roles."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from vagus.clock import ManualClock
from vagus.model import Answer, Ask, Finding, ProposalState, Role, Sense, Subject, Symptom
from vagus.testing.office import CHAT2, Office

NAN = float("nan")


# --- incidents ------------------------------------------------------------------------------------


async def test_incidents_page_by_page(
    office: Office, viewer: httpx.AsyncClient, clock: ManualClock
) -> None:
    names = []
    for number in range(5):
        names.append(office.incident(Subject("chat", f"chat-{number}")).id)
        clock.advance(1.0)
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await viewer.get("/v1/incidents", params=params)).json()
        seen += [incident["id"] for incident in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == names[::-1]


async def test_the_story_of_an_incident(office: Office, viewer: httpx.AsyncClient) -> None:
    incident = office.incident()
    finding = Finding(
        CHAT2, Symptom.HUNG, Sense.GATEWAY, 1.0, 2.0, "4 requests stand still", 4, NAN, 1e308 * 10
    )
    office.served.incidents.record_findings(incident.id, [finding])
    facts = {"subject": "chat/chat-2", "fault": "replica-hung"}
    office.served.ledger.append(incident.workflow_id, "open", "incident.opened", facts)
    answer = await viewer.get(f"/v1/incidents/{incident.id}")
    assert answer.status_code == 200
    body = answer.json()
    assert body["incident"]["subject"] == "chat/chat-2"
    assert body["findings"][0]["sentence"] == "4 requests stand still"
    assert body["findings"][0]["expected"] is None  # infinity is no JSON
    assert body["story"][0]["sentence"] == "incident: replica-hung on chat/chat-2"


@pytest.mark.parametrize("path", ["incidents/inc-none", "proposals/inc-none:1:0:1"])
async def test_what_has_no_such_name(viewer: httpx.AsyncClient, path: str) -> None:
    answer = await viewer.get(f"/v1/{path}")
    assert answer.status_code == 404
    assert "no such" in answer.json()["detail"]


async def test_what_does_not_fit_says_where(viewer: httpx.AsyncClient) -> None:
    answer = await viewer.get("/v1/incidents", params={"limit": "many"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "query/limit"
    assert (await viewer.get("/v1/incidents", params={"cursor": "inc-none"})).status_code == 404
    assert (await viewer.get("/v1/proposals", params={"cursor": "x"})).status_code == 422


# --- proposals ------------------------------------------------------------------------------------


async def answers(client: httpx.AsyncClient, proposal_id: str, **said: object) -> httpx.Response:
    body = json.dumps(said)  # escapes what UTF-8 can't say, as a hostile caller would
    headers = {"Content-Type": "application/json"}
    path = f"/v1/proposals/{proposal_id}/answers"
    return await client.post(path, content=body, headers=headers)


async def test_a_proposal_shows_its_sheet(office: Office, viewer: httpx.AsyncClient) -> None:
    proposal = office.proposal()
    body = (await viewer.get(f"/v1/proposals/{proposal.id}")).json()
    assert body["sheet"]["blast_radius"] == "1 of 3 replicas"
    assert body["asks"] == [{"approvers": 1, "group": ""}]
    assert body["state"] == "open"
    listed = (await viewer.get("/v1/proposals", params={"waiting": True})).json()
    assert [p["id"] for p in listed["items"]] == [proposal.id]


@pytest.mark.parametrize(("yes", "state"), [(True, "approved"), (False, "denied")])
async def test_an_answer_is_taken_told_and_wakes_the_workflow(
    office: Office, approver: httpx.AsyncClient, yes: bool, state: str
) -> None:
    proposal = office.proposal()
    answer = await answers(approver, proposal.id, yes=yes, reason="seen it")
    assert answer.status_code == 200
    assert answer.json()["state"] == state
    kept = office.kept(proposal.id)
    assert kept.answers == (Answer("approver", yes, office.clock.now(), "seen it"),)
    assert office.woken == [proposal.id]
    told = office.told()[0]
    assert (told["by"], told["result"], told["note"]) == ("approver", "done", "seen it")


async def test_an_answer_is_taken_when_nobody_can_be_woken(
    office: Office, approver: httpx.AsyncClient
) -> None:
    """Who waits looks by itself, too: waking only makes it quick."""

    def asleep(_: str) -> None:
        raise RuntimeError("no such workflow")

    office.app.state.served = replace(office.served, wake=asleep)
    proposal = office.proposal()
    answer = await answers(approver, proposal.id, yes=True)
    assert (answer.status_code, answer.json()["state"]) == (200, "approved")


async def test_the_same_answer_twice_is_one(office: Office, approver: httpx.AsyncClient) -> None:
    proposal = office.proposal()
    first = await answers(approver, proposal.id, yes=True)
    assert (await answers(approver, proposal.id, yes=True)).json() == first.json()
    assert len(office.kept(proposal.id).answers) == 1


async def refused(office: Office, answer: httpx.Response, why: str, proposal_id: str) -> None:
    assert answer.status_code == 409
    assert why in answer.json()["detail"]
    assert office.woken == []
    told = office.told()[-1]
    assert told["result"] == "refused (409)"
    assert why in str(told["note"])
    assert proposal_id in str(told["call"])


async def test_whoever_proposes_does_not_decide(
    office: Office, approver: httpx.AsyncClient
) -> None:
    proposal = office.proposal(proposer="approver")
    answer = await answers(approver, proposal.id, yes=True)
    await refused(office, answer, "proposes", proposal.id)
    assert office.kept(proposal.id) == proposal


async def test_an_opinion_stands(office: Office, approver: httpx.AsyncClient) -> None:
    proposal = office.proposal(asks=(Ask(2),))
    assert (await answers(approver, proposal.id, yes=True)).json()["state"] == "open"
    office.woken.clear()
    answer = await answers(approver, proposal.id, yes=False)
    await refused(office, answer, "said yes before", proposal.id)


async def test_two_tokens_of_one_person_are_one_voice(
    office: Office, approver: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    proposal = office.proposal(asks=(Ask(2),))
    second = office.served.tokens.create("approver", Role.ADMIN, "test").secret
    path = f"/v1/proposals/{proposal.id}/answers"
    headers = {"Authorization": f"Bearer {second}"}
    await answers(approver, proposal.id, yes=True)
    again = await nobody.post(path, json={"yes": True}, headers=headers)
    assert again.json()["state"] == "open"
    assert len(office.kept(proposal.id).answers) == 1
    other = await nobody.post(path, json={"yes": True}, headers=office.headers("admin"))
    assert other.json()["state"] == "approved"


async def test_who_was_not_asked_has_no_answer(office: Office, approver: httpx.AsyncClient) -> None:
    proposal = office.proposal(asks=(Ask(1, "dba"),))
    answer = await answers(approver, proposal.id, yes=True)
    await refused(office, answer, "asked of dba", proposal.id)
    other = office.proposal(rung=2, asks=(Ask(1, "dba"), Ask(1, "sre")))
    assert (await answers(approver, other.id, yes=True)).status_code == 200


async def test_after_its_time_no_answer_counts(
    office: Office, approver: httpx.AsyncClient, clock: ManualClock
) -> None:
    proposal = office.proposal()
    clock.advance(900.0)
    answer = await answers(approver, proposal.id, yes=True)
    await refused(office, answer, "time is over", proposal.id)
    assert office.kept(proposal.id) == proposal


@pytest.mark.parametrize("state", [ProposalState.VOID, ProposalState.EXPIRED])
async def test_what_does_not_wait_takes_no_answer(
    office: Office, approver: httpx.AsyncClient, state: ProposalState
) -> None:
    proposal = office.proposal()
    office.served.proposals.close(proposal.id, state, "the replica is gone")
    answer = await answers(approver, proposal.id, yes=True)
    await refused(office, answer, state.value, proposal.id)
    assert "the replica is gone" in answer.json()["detail"]


async def test_what_was_decided_stays_so(
    office: Office, approver: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    proposal = office.proposal()
    await answers(approver, proposal.id, yes=False)
    office.woken.clear()
    late = await nobody.post(
        f"/v1/proposals/{proposal.id}/answers",
        json={"yes": True},
        headers=office.headers("admin"),
    )
    await refused(office, late, "denied", proposal.id)


async def test_proposals_page_by_page_even_those_of_one_instant(
    office: Office, viewer: httpx.AsyncClient, clock: ManualClock
) -> None:
    made = []
    for rung in range(7):
        made.append(office.proposal(rung=rung).id)
        if rung in (0, 4):
            clock.advance(1.0)
    seen: list[str] = []
    cursor, pages = None, 0
    while cursor is not None or not pages:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await viewer.get("/v1/proposals", params=params)).json()
        seen += [proposal["id"] for proposal in page["items"]]
        cursor, pages = page["next"], pages + 1
    assert sorted(seen) == made
    assert pages > 1


NO_ANSWERS: list[dict[str, object]] = [
    {},
    {"yes": "true"},
    {"yes": 1},
    {"yes": None},
    {"yes": True, "by": "somebody-else"},
    {"yes": True, "reason": "\x1b[2J"},
    {"yes": True, "reason": "x" * 501},
    {"yes": True, "reason": "\ud800"},
    {"\ud800": 1, "yes": True},
]


async def test_an_answer_is_yes_or_no_and_nothing_like_it(
    office: Office, approver: httpx.AsyncClient
) -> None:
    proposal = office.proposal()
    for said in NO_ANSWERS:
        assert (await answers(approver, proposal.id, **said)).status_code == 422, said
    assert office.kept(proposal.id) == proposal


# --- ledger ---------------------------------------------------------------------------------------


async def test_the_ledger_page_by_page(office: Office, viewer: httpx.AsyncClient) -> None:
    for number in range(5):
        office.served.ledger.append("w", str(number), "planned", {"ladder": ["restart"]})
    head = (await viewer.get("/v1/ledger/head")).json()
    seen: list[int] = []
    cursor = "0"
    while cursor is not None:
        params = {"limit": 2, "cursor": cursor}
        page = (await viewer.get("/v1/ledger", params=params)).json()
        seen += [entry["seq"] for entry in page["items"]]
        cursor = page["next"]
    assert seen == list(range(1, head["seq"] + 1))
    assert head["hash"] == page["items"][-1]["hash"]
    assert page["items"][-1]["sentence"] == "plan: restart"


# --- licences -------------------------------------------------------------------------------------

GRANT = {"action": "restart", "component": "chat", "days": 30, "reason": "worked in every drill"}


async def test_a_licence_is_granted_shown_and_revoked(
    office: Office, admin: httpx.AsyncClient, clock: ManualClock
) -> None:
    granted = await admin.post("/v1/licences", json=GRANT)
    assert granted.status_code == 201
    licence = granted.json()
    assert (licence["valid"], licence["issued_by"]) == (True, "admin")
    assert licence["environment"] == "test"
    assert licence["expires_at"] == clock.now() + 30 * 86400
    clock.advance(1.0)
    revoked = await admin.post(
        f"/v1/licences/{licence['id']}/revocation", json={"reason": "made it worse"}
    )
    assert revoked.json()["revoked_because"] == "made it worse"
    listed = (await admin.get("/v1/licences")).json()["items"]
    assert [item["valid"] for item in listed] == [False]
    assert [told["by"] for told in office.told()] == ["admin", "admin"]


NO_LICENCES: list[dict[str, object]] = [
    {"action": "drop-database"},
    {"component": ""},
    {"component": "elsewhere"},
    {"fault": "unheard-of"},
    {"days": 0},
    {"days": 1000},
    {"days": "NaN"},
    {"reason": "  "},
]


async def test_a_licence_for_nothing_is_refused(office: Office, admin: httpx.AsyncClient) -> None:
    for change in NO_LICENCES:
        assert (await admin.post("/v1/licences", json=GRANT | change)).status_code == 422, change
    assert office.served.licences.all() == []


async def test_a_licence_that_is_not_there(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/v1/licences/lic-none/revocation", json={"reason": "worse"})
    assert answer.status_code == 404


# --- mode and kill switch -------------------------------------------------------------------------


async def chooses(client: httpx.AsyncClient, mode: str) -> int:
    body = {"mode": mode, "reason": "because"}
    return (await client.put("/v1/mode", json=body)).status_code


async def test_an_operator_lowers_the_mode_and_an_admin_raises_it(
    office: Office, operator: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    shown = (await operator.get("/v1/mode")).json()
    assert shown == {"mode": "suggest", "declared": "suggest", "chosen": None}
    assert await chooses(operator, "auto") == 403
    assert await chooses(operator, "shadow") == 200
    assert await chooses(operator, "shadow") == 200
    assert await chooses(operator, "suggest") == 403
    assert office.served.controls.mode() == "shadow"
    assert await chooses(admin, "auto") == 200
    shown = (await admin.get("/v1/mode")).json()
    assert shown == {"mode": "auto", "declared": "suggest", "chosen": "auto"}
    assert await chooses(admin, "reckless") == 422


async def test_giving_the_word_back_may_be_a_rise(
    operator: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    assert await chooses(operator, "off") == 200
    assert (await operator.delete("/v1/mode")).status_code == 403
    assert (await admin.delete("/v1/mode")).json()["mode"] == "suggest"
    assert await chooses(admin, "auto") == 200
    assert (await operator.delete("/v1/mode")).json()["mode"] == "suggest"


async def test_the_kill_switch_has_an_owner(
    office: Office, operator: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    body = {"reason": "migration"}
    stopped = (await operator.put("/v1/kill-switch", json=body)).json()
    assert stopped["stopped"]
    assert stopped["switches"][0]["owner"] == "operator"
    assert (await operator.delete("/v1/kill-switch")).status_code == 403
    assert office.served.controls.stop() is not None
    assert (await admin.delete("/v1/kill-switch")).json() == {"stopped": False, "switches": []}
    assert [told["result"] for told in office.told()] == ["done", "refused (403)", "done"]
    assert [told["by"] for told in office.told("stopped")] == ["operator"]


async def test_the_api_does_not_lift_the_file(admin: httpx.AsyncClient, tmp_path: Path) -> None:
    file = tmp_path / "vagus.stop"
    file.write_text("Jo: migration\n")
    shown = (await admin.delete("/v1/kill-switch")).json()
    assert shown["stopped"]
    assert [(s["where"], s["owner"]) for s in shown["switches"]] == [("file", "Jo")]
    assert file.exists()


async def test_a_stop_says_why(operator: httpx.AsyncClient, office: Office) -> None:
    for body in ({}, {"reason": ""}, {"reason": " "}, {"reason": "a\nb"}):
        assert (await operator.put("/v1/kill-switch", json=body)).status_code == 422
    assert office.served.controls.stop() is None
    assert {told["result"] for told in office.told()} == {"refused (422)"}


INJECT = {
    "experiment": "exp-1",
    "fault": "kill",
    "target": "chat/chat-2",
    "does": "SIGKILL to process group 7",
    "lease": 60.0,
    "cap": 0.5,
}


async def test_an_injection_is_judged_told_and_ended_once(
    office: Office, operator: httpx.AsyncClient
) -> None:
    answer = (await operator.post("/v1/injections", json=INJECT)).json()
    assert (answer["allowed"], answer["injection"]["subject"]) == (True, "chat/chat-2")
    injection = answer["injection"]["id"]
    assert [i.id for i in office.served.injections.open(office.clock.now())] == [injection]
    for verdict in ("passed", "deviated"):
        ended = await operator.post(f"/v1/injections/{injection}/end", json={"verdict": verdict})
        assert ended.json()["verdict"] == "passed"
    assert office.served.injections.open(office.clock.now()) == []
    (decided,) = office.told("injection.decided")
    assert (decided["decision"], decided["by"]) == ("allow", "operator")
    assert [told["outcome"] for told in office.told("injection.ended")] == ["passed"]


async def test_an_injection_whose_end_nobody_told_ends_with_its_lease(
    office: Office, operator: httpx.AsyncClient
) -> None:
    await operator.post("/v1/injections", json=INJECT)
    office.clock.advance(61.0)
    assert office.served.injections.open(office.clock.now()) == []
    (listed,) = (await operator.get("/v1/injections")).json()["items"]
    assert listed["ends_by"] < office.clock.now()


@pytest.mark.parametrize("target", ["", "chat", "/", "a/b/c"])
async def test_a_target_that_is_none_is_refused_or_judged_as_such(
    office: Office, operator: httpx.AsyncClient, target: str
) -> None:
    answer = await operator.post("/v1/injections", json=INJECT | {"target": target})
    if target == "a/b/c":
        assert answer.status_code == 422
    else:
        component, _, replica = target.partition("/")
        judged = office.told("injection.decided")[-1]
        assert judged["subject"] == (f"{component}/{replica}" if replica else component)
