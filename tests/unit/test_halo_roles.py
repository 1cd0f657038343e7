"""Halo's agents and users where a write could hit the wrong one, or not hit at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from halo_tenant import ALEX, ENSURE, KEY, TICKET, WITHIN, Halo, a_user

from adapters.halo.desk import HaloServiceDesk
from joinery.domain.policy import DeskPolicy, SiteRule
from joinery.domain.tickets import EnsureAgent, ReadBack, SetRoles, UpdateUser
from joinery.errors import OutcomeUnknown, Refused

OURS = ("Service Desk", "Change Manager")


@pytest.fixture
def halo() -> Iterator[Halo]:
    made = Halo()
    yield made
    made.stand_in.stop()


def roles(*wanted: str, agent_id: object = None, **changes: Any) -> SetRoles:
    agent = None if agent_id is None else str(agent_id)
    return SetRoles(person=ALEX, agent_id=agent, roles=wanted, ours=OURS, **changes)


def an_agent(halo: Halo, *names: str, **fields: Any) -> int:
    ids = {role["name"]: role["id"] for role in halo.get("/Roles")}
    return int(halo.post("/Agent", **{"name": "Alex", "email": ALEX.mail, "roles": [{"id": ids[name]} for name in names], **fields})["id"])


def done(halo: Halo, order: Any) -> ReadBack:
    return halo.desk.read_back(order, KEY, halo.desk.perform(order, KEY, within=WITHIN))


def sent(halo: Halo, order: Any, path: str, desk: HaloServiceDesk | None = None) -> list[dict[str, Any]]:
    """The rows that an order posts to a path."""
    bodies: list[dict[str, Any]] = []

    def listen(request: Any) -> None:
        if request.method == "POST" and request.url.path == path:
            bodies.extend(json.loads(request.content))

    halo.before = listen
    (desk or halo.desk).perform(order, KEY, within=WITHIN)
    halo.before = lambda request: None
    return bodies


def test_the_whole_list_is_sent_as_guids_with_names(halo: Halo) -> None:
    agent = an_agent(halo, "Read Only", "Service Desk")
    ids = {role["name"]: role["id"] for role in halo.get("/Roles")}
    [row] = sent(halo, roles("Change Manager"), "/api/Agent")
    assert row == {
        "id": agent,
        "roles": [{"id": ids["Read Only"], "name": "Read Only"}, {"id": ids["Change Manager"], "name": "Change Manager"}],
        "isdisabled": False,
        "isagentdetails": True,
    }


@pytest.mark.parametrize("mode", ["add", "ignore"])
def test_a_desk_that_does_not_do_as_it_is_told_with_roles_is_seen(mode: str) -> None:
    halo = Halo()
    agent = an_agent(halo, "Service Desk")
    assert halo.http.put("/_switches", json={"roles_mode": mode}).is_success
    seen = done(halo, roles("Change Manager"))
    missing = ", does not have the role Change Manager" if mode == "ignore" else ""
    assert (seen.ok, seen.detail) == (False, f"agent {agent} still has the role Service Desk{missing}")


def test_a_role_change_that_was_answered_and_not_made_is_named_and_made_by_the_next_try(halo: Halo) -> None:
    agent = an_agent(halo, "Service Desk")
    halo.http.put("/_faults", json=[{"match": {"method": "POST", "path": "/api/Agent"}, "fault": "role_change_ignored"}])
    assert done(halo, roles()).detail == f"agent {agent} still has the role Service Desk"
    assert done(halo, roles()).ok


def test_what_the_desk_answers_about_roles_is_the_result_not_what_was_sent(halo: Halo) -> None:
    agent = an_agent(halo, "Service Desk")
    halo.http.put("/_faults", json=[{"match": {"method": "POST", "path": "/api/Agent"}, "fault": "role_change_ignored"}])
    assert halo.desk.perform(roles("Change Manager", agent_id=agent), KEY, within=WITHIN).roles == ("Service Desk",)


@pytest.mark.parametrize("whose", ["unassigned", "application"])
def test_agents_that_belong_to_the_desk_or_to_an_application_are_never_touched(halo: Halo, whose: str) -> None:
    agent = 1 if whose == "unassigned" else an_agent(halo, "Administrator", isapiagent=True)
    with pytest.raises(Refused, match="no person's"):
        halo.desk.perform(roles("Change Manager", agent_id=agent), KEY, within=WITHIN)
    if whose == "application":
        assert halo.desk.find(EnsureAgent(person=ALEX), KEY) == ()
        assert halo.desk.perform(roles(), KEY, within=WITHIN).id is None


def test_an_agent_whose_roles_are_not_shown_is_not_written_to(halo: Halo) -> None:
    agent = an_agent(halo, "Service Desk")
    halo.hides = lambda row: {member: value for member, value in row.items() if member != "roles"}
    with pytest.raises(Refused, match="does not show its roles"):
        halo.desk.perform(roles("Change Manager", agent_id=agent), KEY, within=WITHIN)


def test_a_desk_that_shows_roles_by_id_alone_is_understood(halo: Halo) -> None:
    agent = an_agent(halo, "Service Desk", "Read Only")
    halo.hides = lambda row: row | {"roles": [{"id": role["id"].upper()} for role in row["roles"]]}
    seen = done(halo, roles("Change Manager", agent_id=agent))
    assert (seen.ok, seen.detail) == (True, f"agent {agent} has the roles Change Manager, Read Only")


@pytest.mark.parametrize("envelope", ["results", "bare"])
def test_an_agent_is_found_in_both_envelopes_and_where_filters_are_ignored(envelope: str) -> None:
    halo = Halo(agent_envelope=envelope)
    halo.deaf_to = {"search"}
    agent = an_agent(halo)
    for number in range(3):
        an_agent(halo, name=f"Agent {number}", email=f"agent{number}@contoso.com")
    assert halo.desk.perform(EnsureAgent(person=ALEX), KEY, within=WITHIN).ids == (str(agent),)


def test_a_new_agent_has_name_address_title_and_team_and_is_disabled(halo: Halo) -> None:
    made = halo.desk.perform(EnsureAgent(person=ALEX, team="identity"), KEY, within=WITHIN)
    agent = halo.get(f"/Agent/{made.id}")
    members = ("name", "firstname", "surname", "email", "jobtitle", "team", "isdisabled")
    assert tuple(agent[member] for member in members) == ("Alex Example", "Alex", "Example", ALEX.mail, "Analyst", "Identity", True)


def test_whether_an_agent_is_somebody_else_s_is_asked_again_after_a_minute(halo: Halo) -> None:
    agent = halo.desk.perform(EnsureAgent(person=ALEX), KEY, within=WITHIN).id
    halo.desk.perform(roles("Change Manager", agent_id=agent), KEY, within=WITHIN)
    a_user(halo, emailaddress=ALEX.mail, azureoid="00000000-0000-4000-8000-000000000001")
    halo.clock.advance(timedelta(seconds=61))
    with pytest.raises(Refused, match="another directory account"):
        halo.desk.perform(roles("Service Desk", agent_id=agent), KEY, within=WITHIN)


# --- users ---


def test_only_what_differs_is_sent(halo: Halo) -> None:
    user = halo.desk.perform(ENSURE, KEY, within=WITHIN).id
    order = UpdateUser(person=ALEX.evolve(department="Sales", job_title=""), user_id=user)
    assert sent(halo, order, "/api/Users") == [{"id": int(user), "department": "Sales", "title": ""}]
    assert halo.calls(lambda: halo.desk.perform(order, KEY, within=WITHIN)) == [f"GET /api/Users/{user}"]
    # What was read a moment ago is not read for the write once more; the read-back always is one.
    assert halo.calls(lambda: halo.desk.read_back(order, KEY, halo.desk.perform(order, KEY, within=WITHIN))) == [f"GET /api/Users/{user}"]


def test_a_user_keeps_name_and_address_where_the_directory_has_none(halo: Halo) -> None:
    user = halo.desk.perform(ENSURE, KEY, within=WITHIN).id
    empty = ALEX.evolve(mail="", user_principal_name="")
    assert sent(halo, UpdateUser(person=empty, user_id=user), "/api/Users") == []


def test_a_person_whose_data_were_erased_empties_nothing(halo: Halo) -> None:
    user = halo.desk.perform(ENSURE, KEY, within=WITHIN).id
    with pytest.raises(Refused, match="erased"):
        halo.desk.perform(UpdateUser(person=ALEX.without_personal_data(), user_id=user), KEY, within=WITHIN)


def test_a_ticket_for_a_user_who_has_just_moved_goes_to_the_new_site(halo: Halo) -> None:
    policy = DeskPolicy(site_rules=(SiteRule(attribute="department", value="Sales", client="Contoso", site="North"),))
    desk = halo.new_desk(policy)
    user = desk.perform(ENSURE, KEY, within=WITHIN).id
    desk.read_back(ENSURE, KEY, desk.perform(ENSURE, KEY, within=WITHIN))
    desk.perform(UpdateUser(person=ALEX.evolve(department="Sales"), user_id=user), KEY, within=WITHIN)
    [row] = sent(halo, replace(TICKET, user_id=user), "/api/Tickets", desk)
    assert row["site_id"] == 20


@pytest.mark.parametrize("path", ["/api/Agent", "/api/Users"])
@pytest.mark.parametrize("fault", ["lost_response", "lost_request"])
def test_an_agent_that_goes_along_survives_every_lost_call(path: str, fault: str) -> None:
    halo = Halo()
    user = halo.desk.perform(ENSURE, KEY, within=WITHIN).id
    agent = an_agent(halo, "Service Desk")
    order = UpdateUser(person=ALEX.evolve(mail="alex.married@contoso.com", user_principal_name="alex.married@contoso.com"), user_id=user)
    halo.http.put("/_faults", json=[{"match": {"method": "POST", "path": path}, "fault": fault}])
    with pytest.raises(OutcomeUnknown):
        halo.desk.perform(order, KEY, within=WITHIN)
    assert done(halo, order).ok
    assert (halo.get(f"/Agent/{agent}")["email"], len(halo.get(f"/Agent/{agent}")["roles"])) == ("alex.married@contoso.com", 1)


def test_a_new_address_costs_a_look_for_an_agent_and_no_more_where_there_is_none(halo: Halo) -> None:
    user = halo.desk.perform(ENSURE, KEY, within=WITHIN).id
    order = UpdateUser(person=ALEX.evolve(mail="alex.married@contoso.com"), user_id=user)
    assert halo.calls(lambda: halo.desk.perform(order, KEY, within=WITHIN)) == [
        f"GET /api/Users/{user}",
        "GET /api/Agent",
        "POST /api/Users",
    ]


@pytest.mark.parametrize("user_rows", ["full", "published"])
@pytest.mark.parametrize("member", ["emailaddress", "email2"])
def test_an_address_of_somebody_elses_user_is_seen_whatever_a_list_of_users_shows(user_rows: str, member: str) -> None:
    """By the published schema a list shows no directory id and one address; then the user alone is asked."""
    halo = Halo(user_rows=user_rows)
    a_user(halo, **{"emailaddress": "other@contoso.com", "email2": "", member: ALEX.mail}, azureoid="00000000-0000-4000-8000-000000000001")
    an_agent(halo, "Service Desk")
    with pytest.raises(Refused, match="belongs to another directory account"):
        halo.desk.perform(roles("Change Manager"), KEY, within=WITHIN)
    with pytest.raises(Refused, match="belongs to another directory account"):
        halo.desk.perform(EnsureAgent(person=ALEX), KEY, within=WITHIN)
    halo.stand_in.stop()
