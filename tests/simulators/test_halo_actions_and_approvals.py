"""Actions and approvals at the pretend Halo."""

import pytest

from simulators.halo import create_halo, sign_in


@pytest.fixture
def halo():
    return create_halo()


@pytest.fixture
def http(halo):
    return sign_in(halo)


@pytest.fixture
def ticket(http):
    return http.post("/api/Tickets", json=[{"summary": "A ticket"}]).json()


def act(http, **members):
    return http.post("/api/Actions", json=[members])


def person(http, name, **members):
    return http.post("/api/Users", json=[{"name": name, "emailaddress": f"{name.lower()}@example.com", "site_id": 18, **members}]).json()


def rows_of(http, ticket_id, **query):
    return http.get("/api/TicketApproval", params={"ticket_id": ticket_id, **query}).json()


def reply(http, ticket_id, seq, result, **members):
    return http.post("/api/TicketApproval", json=[{"ticket_id": ticket_id, "seq": seq, "result": result, **members}])


def status_of(http, ticket_id):
    return http.get(f"/api/Tickets/{ticket_id}").json()["status_id"]


# Actions


def test_an_action_needs_a_ticket_and_an_outcome(http, ticket):
    assert act(http, outcome_id=7, note="x").status_code == 400
    assert act(http, ticket_id=ticket["id"], note="x").status_code == 400
    assert act(http, ticket_id=ticket["id"], outcome_id=555).status_code == 400
    assert act(http, ticket_id=555, outcome_id=7).status_code == 400
    assert list(act(http, ticket_id=ticket["id"], outcome_id="seven").json()) == ["[0].outcome_id"]


def test_ids_count_per_ticket_from_one(http, ticket):
    other = http.post("/api/Tickets", json=[{"summary": "Another"}]).json()
    ids = [act(http, ticket_id=number, outcome_id=7, note="x").json()["id"] for number in (ticket["id"], ticket["id"], other["id"])]
    assert ids == [1, 2, 1]


@pytest.mark.parametrize("outcome", [{"outcome_id": 7}, {"outcome": "Internal Note"}, {"outcome": "private note"}])
def test_outcome_7_is_the_internal_note_and_hidden_from_the_user(http, ticket, outcome):
    action = act(http, ticket_id=ticket["id"], note="done\nwell", **outcome).json()
    assert (action["outcome_id"], action["outcome"], action["hiddenfromuser"]) == (7, "Internal Note", True)
    assert action["note_html"] == "<p>done<br>well</p>"
    assert (action["actionby_application_id"], action["who_type"], action["who"]) == ("local", 1, "Local")


def test_the_application_that_acted_is_named(halo, ticket):
    action = act(sign_in(halo, client="joinery"), ticket_id=ticket["id"], outcome_id=7, note_html="<p>a</p>").json()
    assert (action["actionby_application_id"], action["note"]) == ("joinery", "a")


def test_an_action_with_a_new_status_changes_the_ticket(http, ticket):
    action = act(http, ticket_id=ticket["id"], outcome_id=7, note="x", new_status="2", new_team="Identity").json()
    assert (action["old_status"], action["new_status"], action["new_status_name"]) == (1, 2, "In Progress")
    got = http.get(f"/api/Tickets/{ticket['id']}").json()
    assert (got["status_id"], got["team"]) == (2, "Identity")
    act(http, ticket_id=ticket["id"], outcome="Close Request")
    assert http.get(f"/api/Tickets/{ticket['id']}").json()["hasbeenclosed"] is True


def test_a_refused_change_leaves_neither_action_nor_gap(http, ticket):
    assert act(http, ticket_id=ticket["id"], outcome_id=7, new_status=555).status_code == 400
    assert act(http, ticket_id=ticket["id"], outcome_id=7).json()["id"] == 1


def test_list_single_read_and_delete_need_the_ticket_id(http, ticket):
    act(http, ticket_id=ticket["id"], outcome_id=7, note="one")
    act(http, ticket_id=ticket["id"], outcome_id=2, note="two", important=True)
    for method, path in (("GET", "/api/Actions"), ("GET", "/api/Actions/1"), ("DELETE", "/api/Actions/1")):
        assert http.request(method, path).status_code == 400
    query = {"ticket_id": ticket["id"]}
    body = http.get("/api/Actions", params=query).json()
    assert (body["record_count"], [row["note"] for row in body["actions"]]) == (2, ["two", "one"])
    assert "note_html" not in body["actions"][0]
    assert "note_html" in http.get("/api/Actions", params=query | {"includehtmlnote": "true"}).json()["actions"][0]
    assert [row["id"] for row in http.get("/api/Actions", params=query | {"conversationonly": "true"}).json()["actions"]] == [2]
    assert [row["id"] for row in http.get("/api/Actions", params=query | {"importantonly": "true"}).json()["actions"]] == [2]
    assert len(http.get("/api/Actions", params=query | {"count": 1}).json()["actions"]) == 1
    assert http.get("/api/Actions/1", params=query).json()["note"] == "one"
    assert http.delete("/api/Actions/1", params=query).json()["note"] == "one"
    gone = http.get("/api/Actions/1", params=query)
    assert (gone.status_code, gone.content) == (404, b"")
    assert act(http, ticket_id=ticket["id"], outcome_id=7).json()["id"] == 3, "a number is not given twice"


def test_an_action_is_edited_by_ticket_and_id_without_an_outcome(http, ticket):
    act(http, ticket_id=ticket["id"], outcome_id=7, note="one")
    edited = act(http, ticket_id=ticket["id"], id=1, note="better")
    assert (edited.status_code, edited.json()["note"], edited.json()["outcome_id"]) == (200, "better", 7)
    assert act(http, ticket_id=ticket["id"], id=9, note="x").status_code == 404


def test_the_ticket_comes_along_when_it_is_asked_for(http, ticket):
    answer = act(http, ticket_id=ticket["id"], outcome_id=7, _includeticketinresponse=True).json()
    assert answer["ticket"]["id"] == ticket["id"]


# Approvals


def test_a_started_approval_waits_in_rows_that_say_who_and_what(http):
    boss = person(http, "Boss")
    made = http.post("/api/Tickets", json=[{"summary": "x", "new_approvalprocess": 2, "new_approvalprocess_user_id": boss["id"]}]).json()
    assert made["status_id"] == 17
    (row,) = rows_of(http, made["id"])
    assert (row["seq"], row["user_id"], row["emailaddress"], row["result"]) == (1, boss["id"], "boss@example.com", 0)
    assert made["approvers"] == [row]
    http.put("/_switches", json={"pending_is_null": True})
    assert rows_of(http, made["id"])[0]["result"] is None


@pytest.mark.parametrize(("result", "status"), [(1, 18), (2, 19)])
def test_the_person_answers_and_the_ticket_follows(halo, http, ticket, result, status):
    boss = person(http, "Boss", ischangeapprover2=True)
    action = act(
        http, ticket_id=ticket["id"], outcome="Approval Requested", new_approvalprocess=2, new_approvalprocess_user_id=boss["id"]
    ).json()
    (row,) = rows_of(http, ticket["id"], action_number=action["id"])
    answer = reply(sign_in(halo, username="boss@example.com"), ticket["id"], row["seq"], result, actionnumber=action["id"], note="fine")
    assert answer.status_code == 200
    assert (answer.json()["result"], answer.json()["user_id"], answer.json()["note"]) == (result, boss["id"], "fine")
    assert answer.json()["dateapproved"] is not None
    assert answer.json()["admin_overridden"] is False
    assert status_of(http, ticket["id"]) == status


def test_the_first_answer_counts(http, ticket):
    act(http, ticket_id=ticket["id"], outcome_id=7, new_approvalprocess=2, new_approvalprocess_email="out@example.org")
    assert reply(http, ticket["id"], 1, 3).status_code == 400
    assert reply(http, ticket["id"], 9, 1).status_code == 404
    assert reply(http, ticket["id"], 1, 1, actionnumber=99).status_code == 404
    answered = reply(http, ticket["id"], 1, 1).json()
    assert (answered["emailaddress"], answered["admin_overridden"], answered["admin_override_id"]) == ("out@example.org", True, 3)
    assert reply(http, ticket["id"], 1, 2).status_code == 400
    assert status_of(http, ticket["id"]) == 18


def test_a_stranger_from_the_portal_may_not_answer_but_a_delegate_may(halo, http, ticket):
    deputy = person(http, "Deputy", ischangeapprover2=True)
    boss = person(http, "Boss", delegation_activated=True, delegation_user_id=deputy["id"])
    person(http, "Stranger", ischangeapprover2=True)
    act(http, ticket_id=ticket["id"], outcome_id=7, new_approvalprocess=2, new_approvalprocess_user_id=boss["id"])
    assert reply(sign_in(halo, username="stranger@example.com"), ticket["id"], 1, 1).status_code == 403
    row = reply(sign_in(halo, username="deputy@example.com"), ticket["id"], 1, 1).json()
    assert (row["user_id"], row["delegated_by_uid"], row["delegated_by_username"]) == (deputy["id"], boss["id"], "Boss")


def test_a_new_round_has_a_new_action_number_and_the_old_rows_are_history(http, ticket):
    boss, chief = person(http, "Boss"), person(http, "Chief")
    for approver in (boss, chief):
        act(http, ticket_id=ticket["id"], outcome_id=7, new_approvalprocess=2, new_approvalprocess_user_id=approver["id"])
    first, second = rows_of(http, ticket["id"])
    assert first["actionnumber"] < second["actionnumber"]
    assert (first["seq"], second["seq"]) == (1, 2)
    got = http.get(f"/api/Tickets/{ticket['id']}", params={"includedetails": "true"}).json()
    assert ([row["seq"] for row in got["approvers"]], [row["seq"] for row in got["approvers_history"]]) == ([2], [1])
    assert reply(http, ticket["id"], 1, 1).status_code == 400
    assert status_of(http, ticket["id"]) == 17


def test_the_requesters_manager_approves_when_nobody_is_named(http):
    boss = person(http, "Boss")
    ann = person(http, "Ann", manager_email="boss@example.com")
    made = http.post("/api/Tickets", json=[{"summary": "x", "user_id": ann["id"], "new_approvalprocess": 2}]).json()
    assert made["approvers"][0]["user_id"] == boss["id"]
    alone = http.post("/api/Tickets", json=[{"summary": "x", "new_approvalprocess": 2}])
    assert alone.status_code == 400
    assert http.get("/api/Tickets").json()["record_count"] == 1, "a refused start leaves no ticket"


def test_steps_follow_each_other_and_a_rejection_ends_the_process(http, ticket):
    members = [person(http, name) for name in ("One", "Two", "Three")]
    board = http.post(
        "/api/CAB", json=[{"name": "Board", "approvals_needed": 2, "members": [{"user_id": one["id"]} for one in members]}]
    ).json()
    steps = [
        {"name": "Owner", "sequence": 1},
        {"name": "Board", "sequence": 2, "type": 2, "agent_id_or_cab_id": board["id"], "statusawaitingapproval": 10},
    ]
    process = http.post("/api/ApprovalProcess", json=[{"name": "Change", "steps": steps}]).json()
    act(http, ticket_id=ticket["id"], outcome_id=7, new_approvalprocess=process["id"], new_approvalprocess_user_id=members[0]["id"])
    reply(http, ticket["id"], 1, 1)
    assert status_of(http, ticket["id"]) == 10
    votes = [row for row in rows_of(http, ticket["id"]) if row["step_name"] == "Board"]
    assert [row["votes_required_to_accept"] for row in votes] == [2, 2, 2]
    reply(http, ticket["id"], votes[0]["seq"], 1)
    assert status_of(http, ticket["id"]) == 10
    reply(http, ticket["id"], votes[1]["seq"], 2)
    assert status_of(http, ticket["id"]) == 19
    assert reply(http, ticket["id"], votes[2]["seq"], 1).status_code == 400


def test_mine_narrows_to_the_caller_and_a_row_can_be_taken_away(halo, http, ticket):
    boss = person(http, "Boss")
    act(http, ticket_id=ticket["id"], outcome_id=7, new_approvalprocess=2, new_approvalprocess_user_id=boss["id"])
    assert len(rows_of(sign_in(halo, username="boss@example.com"), ticket["id"], mine="true")) == 1
    assert rows_of(http, ticket["id"], mine="true") == []
    assert http.delete(f"/api/TicketApproval/{ticket['id']}&1").json()["seq"] == 1
    assert rows_of(http, ticket["id"]) == []
    assert http.delete(f"/api/TicketApproval/{ticket['id']}&1").status_code == 404


@pytest.mark.parametrize(
    "target", [{"new_approvalprocess_user_id": 555}, {"new_approvalprocess_agent_id": 555}, {"new_approvalprocess_cab_id": 555}]
)
def test_an_approver_who_does_not_exist_is_refused(http, ticket, target):
    assert act(http, ticket_id=ticket["id"], outcome_id=7, new_approvalprocess=2, **target).status_code == 400
    assert act(http, ticket_id=ticket["id"], outcome_id=7, new_approvalprocess=555).status_code == 400
    assert status_of(http, ticket["id"]) == 1


def test_whoever_has_no_right_to_approve_cannot_answer_in_the_portal(halo, http, ticket):
    boss = person(http, "Boss")
    act(http, ticket_id=ticket["id"], outcome_id=7, new_approvalprocess=3, new_approvalprocess_user_id=boss["id"])
    portal = sign_in(halo, username="boss@example.com")
    assert reply(portal, ticket["id"], 1, 1).status_code == 403
    http.post("/api/Users", json=[{"id": boss["id"], "roles": [{"id": 2}]}])
    assert reply(portal, ticket["id"], 1, 1).status_code == 200


def test_several_named_users_are_asked_in_one_round_and_the_first_answer_decides(halo, http, ticket):
    people = [person(http, name, ischangeapprover2=True) for name in ("Boss", "Owner")]
    asked = [{"id": one["id"]} for one in people]
    act(http, ticket_id=ticket["id"], outcome_id=7, new_approvalprocess=3, new_approvalprocess_users=asked)
    rows = rows_of(http, ticket["id"])
    assert [(row["user_id"], row["actionnumber"]) for row in rows] == [(one["id"], rows[0]["actionnumber"]) for one in people]
    assert reply(sign_in(halo, username="owner@example.com"), ticket["id"], rows[1]["seq"], 2).status_code == 200
    assert status_of(http, ticket["id"]) == 19
    assert reply(sign_in(halo, username="boss@example.com"), ticket["id"], rows[0]["seq"], 1).status_code == 400


@pytest.mark.parametrize("rule", ["autoapproveforapprovalrequestor", "autoapproveifnoapprovers"])
def test_a_rule_of_the_step_may_approve_without_any_human(http, rule):
    process = http.post("/api/ApprovalProcess", json=[{"name": "Lenient", "steps": [{"name": "x", "sequence": 1, rule: True}]}]).json()
    boss = person(http, "Boss")
    target = {"new_approvalprocess_user_id": boss["id"]} if rule == "autoapproveforapprovalrequestor" else {}
    made = http.post("/api/Tickets", json=[{"summary": "x", "user_id": boss["id"], "new_approvalprocess": process["id"], **target}]).json()
    (row,) = rows_of(http, made["id"])
    assert (row["result"], row["dateapproved"], made["status_id"]) == (1, row["datetime"], 18)


def test_a_start_of_an_approval_can_be_answered_and_ignored(http, ticket):
    boss = person(http, "Boss")
    http.put("/_faults", json=[{"fault": "approval_ignored"}])
    for rounds in (0, 1):
        act(http, ticket_id=ticket["id"], outcome_id=7, new_approvalprocess=3, new_approvalprocess_user_id=boss["id"])
        assert len(rows_of(http, ticket["id"])) == rounds
