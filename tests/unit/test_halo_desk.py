"""What is particular to Halo: what an order writes, filters that do nothing, and what a tenant may lack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from halo_tenant import ALEX, ENSURE, KEY, TICKET, WITHIN, Halo, a_user

from joinery.domain.person import Person
from joinery.domain.policy import DeskPolicy, SiteRule
from joinery.domain.tickets import AddNote, EnsureUser, FindUser, OpenTicket, RetireAgent, ToDo, UserRef


@pytest.fixture
def halo() -> Iterator[Halo]:
    made = Halo()
    yield made
    made.stand_in.stop()


# --- what a ticket and a user hold ---


def test_a_ticket_holds_everything_in_one_call(halo: Halo) -> None:
    user_id = halo.desk.perform(ENSURE, KEY, within=WITHIN).id
    order = OpenTicket(
        kind="onboarding",
        person=ALEX,
        user_id=user_id,
        summary="New starter: <b>Alex</b>\r\nExample",
        details="Name: <script>alert(1)</script>\nStart: soon",
        to_do=(
            ToDo(text="Order or assign hardware", owner="Procurement", when="20 working days before the start"),
            ToDo(text="Close", owner="HR", when=""),
        ),
    )
    assert sum(call == "POST /api/Tickets" for call in halo.calls(lambda: halo.desk.perform(order, KEY, within=WITHIN))) == 1
    (row,) = halo.get("/Tickets")["tickets"]
    ticket = halo.get(f"/Tickets/{row['id']}", includedetails="true")
    assert ticket["summary"] == f"New starter: <b>Alex</b> Example [{KEY}]"
    assert "<script>" not in ticket["details_html"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;<br>Start: soon" in ticket["details_html"]
    assert [(todo["sequence"], todo["text"], todo["group_name"], todo["done"]) for todo in ticket["todo_list"]] == [
        (1, "Order or assign hardware — 20 working days before the start", "Procurement", False),
        (2, "Close", "HR", False),
    ]
    assert [(field["name"], field["value"]) for field in ticket["customfields"]] == [("CFjoineryKey", KEY)]
    assert ticket["third_party_id_string"] == KEY
    assert (str(ticket["user_id"]), ticket["client_id"], ticket["site_id"], ticket["team"]) == (user_id, 12, 18, "Service Desk")
    assert ticket["tickettype_id"] == 31


def test_a_long_summary_is_cut_before_its_key(halo: Halo) -> None:
    order = OpenTicket(kind="onboarding", person=ALEX, user_id=None, summary="x" * 64_000, details="")
    ref = halo.desk.perform(order, KEY, within=WITHIN)
    (row,) = halo.get("/Tickets")["tickets"]
    assert len(row["summary"]) == 255
    assert row["summary"].endswith(f"… [{KEY}]")
    assert halo.desk.read_back(order, KEY, ref).ok


def test_a_ticket_links_to_itself(halo: Halo) -> None:
    ref = halo.desk.perform(TICKET, KEY, within=WITHIN)
    assert ref.url == f"http://halo.test/ticket?id={ref.id}"


def test_a_user_has_the_person_s_fields_and_the_place_of_the_first_rule_that_fits() -> None:
    rules = (
        SiteRule(attribute="department", value="Sales", client="Contoso", site="North"),
        SiteRule(attribute="office_location", value="harbour", client="contoso", site="harbour"),
    )
    halo = Halo(DeskPolicy(site_rules=rules))
    made = halo.desk.perform(ENSURE, KEY, within=WITHIN)
    user = halo.get(f"/Users/{made.id}", includedetails="true")
    assert (user["name"], user["firstname"], user["surname"]) == ("Alex Example", "Alex", "Example")
    assert (user["emailaddress"], user["login"]) == (ALEX.mail, ALEX.user_principal_name)
    assert (user["title"], user["department"], user["azureoid"]) == ("Analyst", "Finance", ALEX.id)
    assert (user["site_id"], user["client_id"], user["inactive"]) == (19.0, 12, False)


def test_a_person_with_nothing_but_an_id_and_a_hostile_name_still_becomes_a_user(halo: Halo) -> None:
    person = Person(id=ALEX.id, display_name="\u202e<script>\r\n" + "x" * 70_000)
    order = EnsureUser(person=person)
    made = halo.desk.perform(order, KEY, within=WITHIN)
    assert halo.desk.read_back(order, KEY, made).ok
    assert len(halo.get(f"/Users/{made.id}")["name"]) == 255


def test_a_note_is_internal_literal_and_ends_with_its_key(halo: Halo) -> None:
    ticket = halo.desk.perform(TICKET, KEY, within=WITHIN)
    halo.desk.perform(AddNote(ticket_id=ticket.id, text="<b>done</b>"), KEY, within=WITHIN)
    (action,) = (row for row in halo.get("/Actions", ticket_id=ticket.id)["actions"] if KEY in row["note"])
    action = halo.get(f"/Actions/{action['id']}", ticket_id=ticket.id, includedetails="true")
    assert action["hiddenfromuser"] is True
    assert action["outcome_id"] == 7
    assert action["note_html"] == f"<p>&lt;b&gt;done&lt;/b&gt;</p><p>[{KEY}]</p>"


# --- what a tenant may lack or do differently ---


def test_a_desk_that_ignores_filters_does_not_make_us_take_somebody_else_s(halo: Halo) -> None:
    halo.deaf_to = {"search", "advanced_search", "search_summary", "user_id", "requesttype_id", "deleted", "open_only", "ticket_id"}
    for number in range(3):
        a_user(halo, name=f"Somebody {number}", emailaddress=f"somebody{number}@contoso.com")
        halo.post("/Agent", name=f"Agent {number}", email=f"agent{number}@contoso.com")
        halo.post("/Tickets", summary=f"printer {number}")
    assert halo.desk.find(TICKET, KEY) == ()
    assert halo.desk.perform(FindUser(person=ALEX), KEY, within=WITHIN) == UserRef(id=None, how="absent")
    assert halo.desk.perform(RetireAgent(person=ALEX), KEY, within=WITHIN).ids == ()
    made = halo.desk.perform(ENSURE, KEY, within=WITHIN)
    assert made.how == "created"
    assert halo.desk.perform(ENSURE, KEY, within=WITHIN).id == made.id
    ticket = halo.desk.perform(TICKET, KEY, within=WITHIN)
    assert [found.id for found in halo.desk.find(TICKET, KEY)] == [ticket.id]


def test_among_more_users_than_a_page_holds_an_ignored_filter_still_finds_the_one(halo: Halo) -> None:
    halo.deaf_to = {"search", "advanced_search"}
    linked = a_user(halo, name="Old Name", emailaddress="old.name@contoso.com", azureoid=ALEX.id)
    for number in range(150):
        a_user(halo, name=f"Somebody {number}", emailaddress=f"somebody{number}@contoso.com")
    assert halo.desk.perform(FindUser(person=ALEX), KEY, within=WITHIN) == UserRef(id=str(linked), how="found")


def test_a_tenant_that_refuses_the_search_by_directory_id_is_asked_once_and_read_in_full() -> None:
    halo = Halo(azureoid_searchable=False)
    linked = a_user(halo, name="Old Name", emailaddress="old.name@contoso.com", azureoid=ALEX.id)
    order = FindUser(person=ALEX)
    for _ in range(2):
        assert halo.desk.perform(order, KEY, within=WITHIN) == UserRef(id=str(linked), how="found")
    refused = [call for call in halo.http.get("/_calls").json() if "advanced_search" in call.get("query", "")]
    assert len(refused) == 1


def test_of_a_leaver_who_is_known_a_second_active_user_is_an_objection_and_the_list_is_read_once(halo: Halo) -> None:
    known = a_user(halo, name="Alex", emailaddress=ALEX.mail, azureoid=ALEX.id)
    order = FindUser(person=ALEX, known_id=str(known), alone=True)
    assert halo.calls(lambda: halo.desk.perform(order, KEY, within=WITHIN)) == ["GET /api/Users"]
    assert halo.desk.read_back(order, KEY, UserRef(id=str(known))).ok
    twin = a_user(halo, name="Alex Again", emailaddress="alex.again@contoso.com", azureoid=ALEX.id)
    seen = halo.desk.read_back(order, KEY, halo.desk.perform(order, KEY, within=WITHIN))
    assert (seen.ok, f"{twin} belongs to the same person" in seen.detail) == (False, True)


def test_a_leaver_who_is_known_and_whom_no_search_shows_yet_is_found(halo: Halo) -> None:
    halo.deaf_to = {"advanced_search", "search"}
    known = a_user(halo, name="Alex", emailaddress="alex.before@contoso.com", azureoid=ALEX.id)
    for number in range(120):
        a_user(halo, name=f"Somebody {number}", emailaddress=f"somebody{number}@contoso.com")
    order = FindUser(person=ALEX, known_id=str(known), alone=True)
    assert halo.desk.perform(order, KEY, within=WITHIN) == UserRef(id=str(known), how="found")


@pytest.mark.parametrize("member", ["email2", "email3"])
def test_the_second_and_third_address_count_too(halo: Halo, member: str) -> None:
    there = a_user(halo, **{member: "ALEX.example@contoso.com"})
    assert halo.desk.perform(ENSURE, KEY, within=WITHIN) == UserRef(id=str(there), how="adopted")


def test_of_two_free_users_the_one_whose_own_address_it_is_is_meant(halo: Halo) -> None:
    a_user(halo, name="The Assistant", email2=ALEX.mail)
    own = a_user(halo, name="Alex", emailaddress=ALEX.mail)
    assert halo.desk.perform(ENSURE, KEY, within=WITHIN) == UserRef(id=str(own), how="adopted")


def test_the_general_user_of_a_site_is_nobody(halo: Halo) -> None:
    general = next(row for row in halo.get("/Users", count=50)["users"] if row["name"] == "General User")
    halo.post("/Users", id=general["id"], emailaddress=ALEX.mail)
    assert halo.desk.perform(ENSURE, KEY, within=WITHIN).how == "created"


def test_an_agent_of_an_application_is_nobody_s(halo: Halo) -> None:
    halo.post("/Agent", name="Bridge", email=ALEX.mail, isapiagent=True)
    assert halo.desk.perform(RetireAgent(person=ALEX), KEY, within=WITHIN).ids == ()


@pytest.mark.parametrize("envelope", ["results", "bare"])
def test_agents_are_read_in_both_envelopes(envelope: str) -> None:
    halo = Halo(agent_envelope=envelope)
    agent = halo.post("/Agent", name="Alex", email=ALEX.mail)
    assert halo.desk.perform(RetireAgent(person=ALEX), KEY, within=WITHIN).ids == (str(agent["id"]),)


@pytest.mark.parametrize("mode", ["add", "ignore"])
def test_a_desk_that_does_not_take_roles_away_is_seen(mode: str) -> None:
    halo = Halo(roles_mode=mode)
    agent = halo.post("/Agent", name="Alex", email=ALEX.mail, add_roles=[{"id": halo.get("/Roles")[0]["id"]}])
    if mode == "ignore" and not agent["roles"]:
        assert halo.http.put("/_switches", json={"roles_mode": "replace"}).is_success
        halo.post("/Agent", id=agent["id"], roles=[{"id": halo.get("/Roles")[0]["id"]}])
        assert halo.http.put("/_switches", json={"roles_mode": "ignore"}).is_success
    order = RetireAgent(person=ALEX)
    seen = halo.desk.read_back(order, KEY, halo.desk.perform(order, KEY, within=WITHIN))
    assert (seen.ok, seen.detail) == (False, f"agent {agent['id']} still has 1 role")


def test_a_role_change_that_was_answered_and_not_made_is_seen(halo: Halo) -> None:
    agent = halo.post("/Agent", name="Alex", email=ALEX.mail, roles=[{"id": halo.get("/Roles")[0]["id"]}])
    halo.http.put("/_faults", json=[{"match": {"method": "POST", "path": "/api/Agent"}, "fault": "role_change_ignored"}])
    order = RetireAgent(person=ALEX)
    seen = halo.desk.read_back(order, KEY, halo.desk.perform(order, KEY, within=WITHIN))
    assert (seen.ok, seen.detail) == (False, f"agent {agent['id']} still has 1 role")


def test_without_the_custom_field_the_summary_carries_the_key_alone(halo: Halo) -> None:
    desk = halo.new_desk(key_field="CFnobodyMadeIt")
    made = desk.perform(TICKET, KEY, within=WITHIN)
    assert desk.read_back(TICKET, KEY, made).ok
    assert [found.id for found in desk.find(TICKET, KEY)] == [made.id]


def test_a_field_that_may_not_be_searched_switches_that_question_off_and_no_more(halo: Halo) -> None:
    desk = halo.new_desk(key_field="CFjoineryKind")
    made = desk.perform(TICKET, KEY, within=WITHIN)
    for _ in range(2):
        assert [found.id for found in desk.find(TICKET, KEY)] == [made.id]
    asked = [call for call in halo.http.get("/_calls").json() if "advanced_search" in call.get("query", "")]
    assert len(asked) == 1


def test_a_summary_that_somebody_edited_is_found_by_its_field_and_the_other_way_round(halo: Halo) -> None:
    made = halo.desk.perform(TICKET, KEY, within=WITHIN)
    halo.post("/Tickets", id=int(made.id), summary="edited")
    assert [found.id for found in halo.desk.find(TICKET, KEY)] == [made.id]
    halo.post("/Tickets", id=int(made.id), summary=f"back [{KEY}]", customfields=[{"name": "CFjoineryKey", "value": ""}])
    assert [found.id for found in halo.desk.find(TICKET, KEY)] == [made.id]


def test_an_old_ticket_is_found_behind_a_hundred_newer_ones(halo: Halo) -> None:
    made = halo.desk.perform(TICKET, KEY, within=WITHIN)
    for number in range(110):
        halo.post("/Tickets", summary=f"printer {number}")
    assert [found.id for found in halo.desk.find(TICKET, KEY)] == [made.id]


def test_missing_tasks_do_not_pass_for_done(halo: Halo) -> None:
    made = halo.desk.perform(TICKET, KEY, within=WITHIN)
    more = OpenTicket(kind="onboarding", person=ALEX, user_id=None, summary="x", details="", to_do=(ToDo(text="a", owner="b", when="c"),))
    seen = halo.desk.read_back(more, KEY, made)
    assert (seen.ok, seen.detail) == (False, f"ticket {made.id} has 0 of 1 tasks")


def test_a_second_active_user_of_the_same_person_does_not_pass_unseen(halo: Halo) -> None:
    first, second = (a_user(halo, name=name, emailaddress=f"{name}@contoso.com", azureoid=ALEX.id) for name in ("one", "two"))
    order = FindUser(person=ALEX)
    seen = halo.desk.read_back(order, KEY, halo.desk.perform(order, KEY, within=WITHIN))
    assert (seen.ok, seen.detail) == (False, f"besides user {first}, {second} belongs to the same person")
