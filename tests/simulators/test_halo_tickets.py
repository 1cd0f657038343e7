"""Tickets at the pretend Halo: the write conventions, fields, to-dos, lists."""

import re
from datetime import UTC, datetime

import httpx
import pytest

from simulators.clock import SimClock
from simulators.door import ConnectionDropped
from simulators.halo import create_halo, sign_in


@pytest.fixture
def http():
    return sign_in(create_halo())


def make(http, **members):
    answer = http.post("/api/Tickets", json=[{"summary": "A ticket", **members}])
    assert answer.status_code == 201, answer.text
    return answer.json()


def listed(http, **query):
    answer = http.get("/api/Tickets", params=query)
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["tickets"]]


def person(http, name="Ann", **members):
    return http.post("/api/Users", json=[{"name": name, "emailaddress": f"{name.lower()}@example.com", "site_id": 19, **members}]).json()


# Writing


def test_a_post_is_an_array_and_one_object_comes_back(http):
    answer = http.post("/api/Tickets", json=[{"summary": "one"}, {"summary": "two"}])
    assert (answer.status_code, answer.json()["summary"]) == (201, "two")


def test_returnall_brings_all_rows_back(http):
    answer = http.post("/api/Tickets", params={"returnall": "true"}, json=[{"summary": "one"}, {"summary": "two"}])
    assert [row["summary"] for row in answer.json()] == ["one", "two"]


def test_a_row_with_an_id_merges_and_fields_not_sent_stay(http):
    ticket = make(http, details="kept", client_reference="R-1")
    answer = http.post("/api/Tickets", json=[{"id": ticket["id"], "summary": "renamed"}])
    assert answer.status_code == 200
    assert (answer.json()["summary"], answer.json()["details"], answer.json()["client_reference"]) == ("renamed", "kept", "R-1")
    assert listed(http) == [ticket["id"]]


def test_a_bare_object_is_a_400_and_tickets_object_takes_it(http):
    assert http.post("/api/Tickets", json={"summary": "x"}).status_code == 400
    assert http.post("/api/Tickets/Object", json={"summary": "x"}).json()["summary"] == "x"


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[]", b"null", b"[1]", b"\xff", b"[" * 10_000, b'[{"summary":"\\ud800"}]', b'[{"id":1e999}]', b"[NaN]"]
)
def test_a_body_that_is_no_array_of_objects_is_a_400(http, body):
    assert http.post("/api/Tickets", content=body, headers={"Content-Type": "application/json"}).status_code == 400
    assert listed(http) == []


def test_a_content_type_that_is_not_json_is_a_415(http):
    answer = http.post("/api/Tickets", content=b'[{"summary":"x"}]', headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.content) == (415, b"")


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ({"status_id": "nine"}, "[0].status_id"),
        ({"site_id": 95.0}, "[0].site_id"),
        ({"site_id": "95.0"}, "[0].site_id"),
        ({"user_id": True}, "[0].user_id"),
        ({"user_id": 2**31}, "[0].user_id"),
        ({"summary": ["x"]}, "[0].summary"),
        ({"_novalidate": "yes"}, "[0]._novalidate"),
        ({"targetdate": "tomorrow"}, "[0].targetdate"),
        ({"customfields": {}}, "[0].customfields"),
        ({"todo_list": [{"done": 1}]}, "[0].todo_list[0].done"),
    ],
)
def test_a_member_of_the_wrong_type_is_a_400_keyed_by_its_place(http, row, place):
    answer = http.post("/api/Tickets", json=[{"summary": "x"} | row])
    assert answer.status_code == 400
    assert list(answer.json()) == [place]
    assert isinstance(answer.json()[place], list)


def test_numeric_text_is_taken_for_an_integer(http):
    assert make(http, status_id="2")["status_id"] == 2


def test_a_path_id_of_the_wrong_type_is_keyed_id_and_an_unknown_one_is_an_empty_404(http):
    assert list(http.get("/api/Tickets/abc").json()) == ["id"]
    unknown = http.get("/api/Tickets/99999")
    assert (unknown.status_code, unknown.content) == (404, b"")
    assert http.get("/api/Nowhere").status_code == 404
    assert http.put("/api/Tickets", json=[]).status_code == 405


def test_unknown_members_and_parameters_are_ignored(http):
    ticket = make(http, sumary="no such member")
    assert listed(http, tickettype_id=31) == [ticket["id"]], "a misspelt filter returns everything"


def test_an_update_with_an_unknown_id_is_a_404_or_creates_by_switch(http):
    assert http.post("/api/Tickets", json=[{"id": 777, "summary": "x"}]).status_code == 404
    http.put("/_switches", json={"unknown_id": "creates"})
    created = http.post("/api/Tickets", json=[{"id": 777, "summary": "x"}])
    assert (created.status_code, listed(http)) == (201, [created.json()["id"]])


@pytest.mark.parametrize(
    "row",
    [
        {"summary": " "},
        {"status_id": 555},
        {"tickettype_id": 555},
        {"agent_id": 555},
        {"priority_id": 555},
        {"user_id": 555},
        {"site_id": 555},
        {"parent_id": 555},
    ],
)
def test_a_business_rule_is_a_400_with_a_serialised_exception(http, row):
    answer = http.post("/api/Tickets", json=[{"summary": "x"} | row])
    assert answer.status_code == 400
    assert answer.json()["ClassName"] == "System.Exception"
    assert answer.json()["Message"]
    assert listed(http) == []


def test_rows_before_a_refused_one_stay_applied(http):
    answer = http.post("/api/Tickets", json=[{"summary": "stays"}, {"summary": "x", "status_id": 555}, {"summary": "never reached"}])
    assert answer.status_code == 400
    assert [row["summary"] for row in http.get("/api/Tickets").json()["tickets"]] == ["stays"]


def test_paths_are_taken_without_regard_to_case(http):
    ticket = make(http)
    assert http.get(f"/API/tickets/{ticket['id']}").json()["id"] == ticket["id"]


# Content


def test_a_ticket_for_a_user_takes_the_users_client_and_site(http):
    ann = person(http)
    ticket = make(http, user_id=ann["id"], site_id=18)
    assert (ticket["user_id"], ticket["site_id"], ticket["client_id"]) == (ann["id"], 19, 12)
    assert (ticket["user_name"], ticket["site_name"]) == ("Ann", "Harbour")


@pytest.mark.parametrize("sent", [{}, {"user_id": -1}, {"user_id": 0}, {"user_id": None}])
def test_a_ticket_without_a_user_belongs_to_the_sites_general_user(http, sent):
    ticket = make(http, site_id=20, **sent)
    assert (ticket["user_name"], ticket["site_id"]) == ("General User", 20)
    assert make(http, **sent)["site_name"] == "Head Office"


def test_a_userlookup_names_the_user_too(http):
    ann = person(http)
    assert make(http, userlookup={"id": ann["id"], "lookupdisplay": "Ann"})["user_id"] == ann["id"]


def test_a_later_change_of_the_summary_leaves_the_requester(http):
    ann = person(http)
    ticket = make(http, user_id=ann["id"])
    assert http.post("/api/Tickets", json=[{"id": ticket["id"], "summary": "y"}]).json()["user_id"] == ann["id"]


@pytest.mark.parametrize(
    ("sent", "details", "markup"),
    [
        ({"details": "a < b\nc"}, "a < b\nc", "<p>a &lt; b<br>c</p>"),
        ({"details_html": "<p>one</p><p>two&amp;</p>"}, "one\ntwo&", "<p>one</p><p>two&amp;</p>"),
        ({"details": "x", "details_html": "<b>y</b>"}, "x", "<b>y</b>"),
        ({}, "", ""),
        ({"details": None}, "", ""),
    ],
)
def test_details_are_always_text_and_each_half_is_derived_from_the_other(http, sent, details, markup):
    made = make(http, **sent)
    for ticket in (made, http.get(f"/api/Tickets/{made['id']}").json(), http.get(f"/api/Tickets/{made['id']}?includedetails=true").json()):
        assert (ticket["details"], ticket["details_html"]) == (details, markup)
    assert http.get("/api/Tickets").json()["tickets"][0]["details"] == details


def test_custom_fields_are_taken_by_id_or_name_and_unknown_ones_fall_away(http):
    field = next(row for row in http.get("/api/FieldInfo").json() if row["name"] == "CFjoineryKey")
    assert field["searchable"] is True
    by_name = make(http, customfields=[{"name": "CFjoineryKey", "value": "K-1"}, {"name": "CFnobody", "value": "x"}])
    by_id = make(http, customfields=[{"id": field["id"], "value": "K-2"}])
    assert by_name["customfields"] == [
        {"id": field["id"], "name": "CFjoineryKey", "label": "Joinery key", "type": 0, "value": "K-1", "display": "K-1"}
    ]
    changed = http.post("/api/Tickets", json=[{"id": by_id["id"], "customfields": [{"name": "CFjoineryKind", "value": "joiner"}]}]).json()
    assert {row["name"]: row["value"] for row in changed["customfields"]} == {"CFjoineryKey": "K-2", "CFjoineryKind": "joiner"}
    rows = http.get("/api/Tickets").json()["tickets"]
    assert [row["customfields"][0]["value"] for row in rows] == ["K-2", "K-1"]
    http.delete(f"/api/FieldInfo/{field['id']}")
    assert http.get(f"/api/Tickets/{by_name['id']}").json()["customfields"] == []


def test_todos_come_back_with_includedetails_merge_by_id_and_add_without(http):
    ticket = make(
        http,
        todo_list=[
            {"text": "Account", "group_name": "IAM", "end_date": "2026-12-01T08:00:00Z"},
            {"text": "Laptop", "group_name": "Endpoint"},
        ],
    )
    address = f"/api/Tickets/{ticket['id']}"
    assert "todo_list" not in http.get(address).json()
    first, second = http.get(address, params={"includedetails": "true"}).json()["todo_list"]
    assert (first["text"], first["group_name"], first["sequence"], first["done"]) == ("Account", "IAM", 1, False)
    assert (first["end_date"], second["end_date"], second["sequence"]) == ("2026-12-01T08:00:00.0000000", None, 2)
    http.post(
        "/api/Tickets", json=[{"id": ticket["id"], "todo_list": [{"id": first["id"], "done": True}, {"text": "Badge", "group_name": "HR"}]}]
    )
    rows = http.get(address, params={"includedetails": "true"}).json()["todo_list"]
    assert [(row["text"], row["done"]) for row in rows] == [("Account", True), ("Laptop", False), ("Badge", False)]
    assert rows[0]["done_by_name"] == "Local"
    assert http.post("/api/Tickets", json=[{"id": ticket["id"], "todo_list": [{"id": 999, "done": True}]}]).status_code == 400


def test_a_closed_ticket_says_when_and_reopening_takes_it_back(http):
    ticket = make(http)
    assert (ticket["hasbeenclosed"], ticket["dateclosed"]) == (False, "1899-12-30T00:00:00")
    closed = http.post("/api/Tickets", json=[{"id": ticket["id"], "status_id": 9}]).json()
    assert closed["hasbeenclosed"] is True
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}", closed["dateclosed"])
    reopened = http.post("/api/Tickets", json=[{"id": ticket["id"], "status_id": 1}]).json()
    assert (reopened["hasbeenclosed"], reopened["dateclosed"]) == (False, "1899-12-30T00:00:00")


def test_dates_are_utc_without_a_zone_and_with_seven_digits():
    clock = SimClock(datetime(2026, 11, 23, 9, 12, 44, 117000, tzinfo=UTC), frozen=True)
    http = sign_in(create_halo(clock=clock))
    ticket = make(http, targetdate="2026-12-01T10:00:00+02:00", startdate="0001-01-01T00:00:00")
    assert ticket["dateoccurred"] == "2026-11-23T09:12:44.1170000"
    assert (ticket["targetdate"], ticket["startdate"]) == ("2026-12-01T08:00:00.0000000", None)


def test_children_hang_on_their_parent_and_no_ticket_is_its_own_ancestor(http):
    parent = make(http)
    assert parent["parent_id"] is None
    child = make(http, parent_id=parent["id"])
    assert child["parent_id"] == parent["id"]
    got = http.get(f"/api/Tickets/{parent['id']}", params={"includechildids": "true"}).json()
    assert (got["child_count"], got["child_ticket_ids"]) == (1, [child["id"]])
    assert listed(http, parent_id=parent["id"]) == [child["id"]]
    assert http.post("/api/Tickets", json=[{"id": parent["id"], "parent_id": child["id"]}]).status_code == 400
    assert http.post("/api/Tickets", json=[{"id": child["id"], "parent_id": 0}]).json()["parent_id"] is None


def test_deletion_is_soft_and_recover_brings_the_ticket_back(http):
    ticket = make(http)
    assert http.delete(f"/api/Tickets/{ticket['id']}", params={"reason": "by mistake"}).json()["id"] == ticket["id"]
    assert http.get(f"/api/Tickets/{ticket['id']}").status_code == 404
    assert http.delete(f"/api/Tickets/{ticket['id']}").status_code == 404
    assert http.post("/api/Tickets", json=[{"id": ticket["id"], "summary": "x"}]).status_code == 404
    assert (listed(http), listed(http, deleted="true")) == ([], [ticket["id"]])
    assert http.post("/api/Tickets", json=[{"id": ticket["id"], "_recover": True, "_validate_updates": True}]).status_code == 200
    assert (listed(http), listed(http, deleted="true")) == ([ticket["id"]], [])


def test_validate_only_stores_nothing(http):
    assert http.post("/api/Tickets", json=[{"summary": "x", "_validate_only": True}]).status_code == 201
    ticket = make(http)
    http.post("/api/Tickets", json=[{"id": ticket["id"], "summary": "y", "_validate_only": True}])
    assert http.get(f"/api/Tickets/{ticket['id']}").json()["summary"] == "A ticket"


def test_a_ticket_has_an_audit_of_its_own(http):
    ticket = make(http)
    http.post("/api/Tickets", json=[{"id": ticket["id"], "status_id": 2}])
    (row,) = http.get(f"/api/Tickets/{ticket['id']}", params={"include_auditing": "true"}).json()["audit"]
    assert (row["value"], row["from"], row["to"], row["username"]) == ("status_id", "1", "2", "Local")


def test_a_lost_response_was_done_and_a_lost_request_was_not(http):
    for fault, count in (("lost_response", 1), ("lost_request", 1)):
        http.put("/_faults", json=[{"match": {"method": "POST", "path": "/api/Tickets"}, "fault": fault}])
        with pytest.raises(ConnectionDropped):
            http.post("/api/Tickets", json=[{"summary": fault}])
        assert len(listed(http)) == count


def test_an_agent_may_do_what_a_portal_user_may_not(http):
    ann = person(http)
    theirs = make(http)
    own = make(http, user_id=ann["id"])
    portal = httpx.Client(base_url="http://halo.test", transport=http._transport)
    token = portal.post("/auth/token", data={"grant_type": "password", "username": "ann@example.com", "password": "local"}).json()[
        "access_token"
    ]
    portal.headers["Authorization"] = f"Bearer {token}"
    assert portal.post("/api/Tickets", json=[{"id": theirs["id"], "summary": "mine"}]).status_code == 403
    assert portal.post("/api/Tickets", json=[{"id": own["id"], "details": "more"}]).status_code == 200
    assert portal.post("/api/Tickets", json=[{"summary": "new", "user_id": 1}]).json()["user_id"] == ann["id"]
    assert portal.delete(f"/api/Tickets/{own['id']}").status_code == 403
    assert portal.get("/api/Users").status_code == 403
