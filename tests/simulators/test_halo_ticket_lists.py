"""Lists of tickets at the pretend Halo: pages, order, filters, searches, and the index that lags."""

from datetime import UTC, datetime, timedelta

import pytest

from simulators.clock import SimClock
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


def test_rows_carry_what_everybody_relies_on_open_and_closed_newest_first(http):
    ann = person(http)
    first = make(http, user_id=ann["id"])
    second = make(http, status_id=9)
    rows = http.get("/api/Tickets").json()
    assert rows["record_count"] == 2
    assert [row["id"] for row in rows["tickets"]] == [second["id"], first["id"]]
    for row in rows["tickets"]:
        wanted = {
            "id",
            "summary",
            "user_id",
            "parent_id",
            "status_id",
            "tickettype_id",
            "client_id",
            "site_id",
            "agent_id",
            "dateoccurred",
            "customfields",
        }
        assert wanted <= row.keys()
        assert row["parent_id"] is None
    assert [row["hasbeenclosed"] for row in rows["tickets"]] == [True, None]
    assert listed(http, open_only="true") == [first["id"]]
    assert listed(http, closed_only="true") == [second["id"]]


def test_pages_hold_100_rows_at_most_and_count_only_with_pageinate(http):
    http.post("/api/Tickets", json=[{"summary": f"t{n}"} for n in range(120)])
    assert len(listed(http)) == 100
    assert len(listed(http, count=500)) == 100
    assert len(listed(http, count=7, page_size=3)) == 7
    assert len(listed(http, page_size=3, page_no=2)) == 100, "page_size is ignored unless pageinate=true"
    first = http.get("/api/Tickets", params={"pageinate": "true", "page_size": 500, "page_no": 1}).json()
    second = http.get("/api/Tickets", params={"pageinate": "true", "page_size": 500, "page_no": 2}).json()
    assert (first["record_count"], len(first["tickets"]), len(second["tickets"])) == (120, 100, 20)
    assert (first["page_no"], first["page_size"]) == (1, 100)
    assert not {row["id"] for row in first["tickets"]} & {row["id"] for row in second["tickets"]}
    assert listed(http, pageinate="true", page_no=9, page_size=100) == []


def test_only_the_word_true_sorts_descending(http):
    ids = [make(http, summary=text)["id"] for text in ("b", "a", "c")]
    by_name = [ids[1], ids[0], ids[2]]
    assert listed(http, order="summary") == by_name
    assert listed(http, order="summary", orderdesc="1") == by_name
    assert listed(http, order="summary", orderdesc="true") == by_name[::-1]
    assert listed(http, order="nonsense") == sorted(ids, reverse=True)


def test_filters_narrow_the_list(http):
    ann = person(http)
    agent = http.post("/api/Agent", json=[{"name": "Sam", "email": "sam@example.com"}]).json()
    one = make(http, user_id=ann["id"], tickettype_id=31, client_reference="REF-1", third_party_id_string="T-1")["id"]
    two = make(http, site_id=20, tickettype_id=32, agent_id=agent["id"], status_id=2, team="Identity")["id"]
    three = make(http, tickettype_id=4)["id"]
    assert listed(http, user_id=ann["id"]) == [one]
    assert listed(http, site_id=20) == [two]
    assert listed(http, client_id=12) == [three, two, one]
    assert listed(http, agent_id=agent["id"]) == [two]
    assert listed(http, status_id=2) == [two]
    assert listed(http, status="1,2") == [three, two, one]
    assert listed(http, requesttype_id=31) == [one]
    assert listed(http, requesttype=[31, 32]) == [two, one]
    assert listed(http, requesttype="31,4") == [three, one]
    assert listed(http, ticketids=f"{one},{three}") == [three, one]
    assert listed(http, client_ref="ref-1") == [one]
    assert listed(http, team="identity") == [two]
    assert listed(http, third_party_id_string="T-1") == [three, two, one], "stored, but no list filter"
    assert http.get("/api/Tickets", params={"user_id": "ann"}).json().keys() == {"user_id"}


def test_searches_are_contains_matches_without_regard_to_case(http):
    ann = person(http, "Annabel")
    one = make(http, summary="Joiner [KEY-ABC]", details="starts monday", user_id=ann["id"], third_party_id_string="T-77")["id"]
    two = make(
        http, summary="other", customfields=[{"name": "CFjoineryKey", "value": "key-abc"}, {"name": "CFjoineryKind", "value": "mover"}]
    )["id"]
    assert listed(http, search="key-ABC") == [two, one]
    assert listed(http, search="annabel") == [one]
    assert listed(http, search="mover") == [], "a field that is not flagged is not searched"
    assert listed(http, search="T-77") == []
    assert listed(http, search_summary="key-abc") == [one]
    assert listed(http, search_details="MONDAY") == [one]
    http.post("/api/Actions", json=[{"ticket_id": two, "outcome_id": 7, "note": "needle"}])
    assert listed(http, search="needle") == []
    assert listed(http, search="needle", searchactions="true") == [two]


def test_advanced_search_knows_two_types_and_a_white_list(http):
    one = make(http, summary="alpha", customfields=[{"name": "CFjoineryKey", "value": "K-1"}])["id"]
    make(http, summary="beta", customfields=[{"name": "CFjoineryKey", "value": "K-10"}])

    def search(name, kind, value):
        text = f'[{{"filter_name":"{name}","filter_type":{kind},"filter_value":"{value}"}}]'
        return http.get("/api/Tickets", params={"advanced_search": text})

    assert [row["id"] for row in search("CFjoineryKey", 2, "k-1").json()["tickets"]] == [one]
    assert search("CFjoineryKey", 4, "K-1").json()["record_count"] == 2
    for refused in (search("third_party_id_string", 2, "x"), search("CFjoineryKind", 2, "x"), search("summary", 9, "x")):
        assert refused.status_code == 400
        assert "Invalid advanced search parameter" in refused.json()["Message"]
    for broken in ("[", "{}x", '{"a":1}', '["a"]', "[" * 15_000, '[{"filter_name":"id","filter_type":1e999,"filter_value":1}]'):
        with_broken = http.get("/api/Tickets", params={"advanced_search": broken})
        assert with_broken.status_code == 400


def test_date_windows_look_at_the_column_that_was_asked_for():
    clock = SimClock(datetime(2026, 11, 1, 9, tzinfo=UTC), frozen=True)
    halo = create_halo(clock=clock)
    old = make(sign_in(halo))["id"]
    clock.advance(timedelta(days=10))
    http = sign_in(halo)
    new = make(http)["id"]
    assert listed(http, datesearch="dateoccured", startdate="2026-11-05", enddate="2026-11-30") == [new]
    assert listed(http, enddate="2026-11-05") == [old]
    http.post("/api/Tickets", json=[{"id": old, "status_id": 9}])
    assert listed(http, datesearch="datecleared", startdate="2026-11-10T00:00:00Z") == [old]
    assert listed(http, lastupdatefromdate="2026-11-11T00:00:00") == [new, old]
    assert http.get("/api/Tickets", params={"startdate": "soon"}).json().keys() == {"startdate"}


def test_a_new_ticket_matched_by_index_lag_is_listed_later_but_read_at_once():
    clock = SimClock(datetime(2026, 11, 23, 9, tzinfo=UTC), frozen=True)
    http = sign_in(create_halo(clock=clock))
    http.put("/_faults", json=[{"match": {"method": "POST", "path": "/api/Tickets"}, "fault": "index_lag", "delay": 30}])
    late = make(http, summary="late [KEY]", parent_id=None)["id"]
    prompt = make(http, summary="prompt [KEY]")["id"]
    assert http.get(f"/api/Tickets/{late}").status_code == 200
    for query in ({}, {"search": "KEY"}, {"ticketids": f"{late},{prompt}"}):
        assert listed(http, **query) == [prompt]
    clock.advance(timedelta(seconds=29))
    http.post("/api/Tickets", json=[{"id": late, "summary": "late [KEY] changed"}])
    assert listed(http) == [prompt]
    clock.advance(timedelta(seconds=1))
    assert listed(http) == [prompt, late]
