"""The seeded company and the play, against the stand-ins and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from joinery.domain.identity import Kind, classify
from joinery.domain.person import Person
from joinery.domain.policy import Policy
from joinery.policy_file import parse_policy
from joinery.serving import serve
from simulators.company import DOMAIN, address_of, employees, prepare_desk, seed_company
from simulators.driver import GraphDriver, HaloDriver
from simulators.graph import create_graph
from simulators.halo import create_halo
from simulators.play import Expected, Play

pytestmark = pytest.mark.servers

POLICY = Policy()


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks a manager here unless a test does so before."""
    monkeypatch.setattr("simulators.play._ASKED_MAX", 2.0)


class Company:
    """Both stand-ins, seeded unless told otherwise."""

    def __init__(self, *, empty: bool = False, policy: Policy = POLICY) -> None:
        self._worlds = (create_graph(None), create_halo(None))
        self._served = [serve(world.wsgi) for world in self._worlds]
        self.graph, self.halo = GraphDriver(self._served[0].url), HaloDriver(self._served[1].url)
        self.graph.make_groups(policy.watched_groups)
        prepare_desk(self.halo, policy)
        if not empty:
            seed_company(self.graph, self.halo, policy)

    def people(self) -> list[dict[str, Any]]:
        fields = "id,displayName,userPrincipalName,employeeId,employeeType,userType,department,accountEnabled,jobTitle"
        return list(self.graph.call("GET", f"/users?$select={fields}&$expand=manager&$top=999")["value"])

    def members(self, group: str) -> set[str]:
        return {one["displayName"] for one in self.graph.call("GET", f"/groups/{self.graph.group_id(group)}/members")["value"]}

    def play(self) -> tuple[Play, list[str], list[Expected]]:
        play = Play(self.graph.url, self.halo.url)
        titles: list[str] = []
        expected = play.perform(titles.append, lambda _: False)
        play.close()
        return play, titles, expected

    def close(self) -> None:
        self.graph.close()
        self.halo.close()
        for served in self._served:
            served.close()
        for world in self._worlds:
            world.stop()


def _rows(answer: Any) -> list[dict[str, Any]]:
    """A list of agents, in either of the envelopes that tenants use."""
    return list(answer["results"] if isinstance(answer, dict) else answer)


@pytest.fixture
def contoso() -> Iterator[Company]:
    company = Company()
    yield company
    company.close()


def test_the_company_has_forty_people_in_six_departments_and_one_head_without_a_manager(contoso: Company) -> None:
    people = [one for one in contoso.people() if one.get("employeeId")]
    assert len(people) == 40
    assert len({one["department"] for one in people}) == 6
    assert [one["jobTitle"] for one in people if not one.get("manager")] == ["Chief executive"]
    assert len({one["userPrincipalName"] for one in people}) == 40


def test_the_joiner_group_starts_empty_and_the_role_groups_do_not(contoso: Company) -> None:
    assert contoso.members(POLICY.joiner_group) == set()
    assert len(contoso.members("ITSM-ServiceDesk")) == 5
    assert contoso.members("ITSM-ChangeManagers") and contoso.members("ITSM-Admins")
    assert contoso.members("ITSM-BreakGlass") == {"Break glass 01"}


def test_every_kind_of_account_that_is_nobodys_is_there_once(contoso: Company) -> None:
    kinds = []
    for one in contoso.people():
        text = {name: one.get(name) or "" for name in ("employeeId", "employeeType", "userPrincipalName", "userType")}
        person = Person(
            id=one["id"],
            user_principal_name=text["userPrincipalName"],
            employee_id=text["employeeId"],
            employee_type=text["employeeType"],
            user_type=text["userType"],
        )
        kinds.append(classify(person, POLICY.identity).kind)
    assert {kind: kinds.count(kind) for kind in kinds} == {
        Kind.MEMBER: 40,
        Kind.SHARED_MAILBOX: 1,
        Kind.SERVICE: 1,
        Kind.PROTECTED: 1,
        Kind.GUEST: 1,
    }


def test_everybody_has_a_desk_user_and_holders_of_roles_are_agents_with_those_roles(contoso: Company) -> None:
    users = contoso.halo.call("GET", "/Users?count=200")["users"]
    linked = {user["azureoid"]: user for user in users if user["azureoid"]}
    people = [one for one in contoso.people() if one.get("employeeId")]
    assert set(linked) == {one["id"] for one in people}
    assert {user["site_name"] for user in linked.values()} == {"Head Office", "Harbour", "North"}
    agents = {one["email"]: one for one in _rows(contoso.halo.call("GET", "/Agent?includeroles=true")) if one["email"]}
    holders = {one.address: POLICY.roles[one.group].role for one in employees() if one.group}
    assert {mail: holders[mail] in [role["name"] for role in agent["roles"]] for mail, agent in agents.items()} == dict.fromkeys(
        holders, True
    )


def test_addresses_are_plain_letters() -> None:
    assert address_of("Emre Yıldız") == f"emre.yildiz@{DOMAIN}"
    assert all(one.address.isascii() and one.address.count("@") == 1 for one in employees())


def test_a_desk_gets_whatever_a_policy_of_ones_own_names() -> None:
    text = '[desk]\ndefault_client = "Fabrikam"\ndefault_site = "Quay"\n[roles]\n"Cooks" = "Cook"\n'
    text += '[desk.tickets.onboarding]\nticket_type = "Welcome"\nteam = "Hosts"\n'
    policy = parse_policy(text, place="policy.toml")
    company = Company(empty=True, policy=policy)
    try:
        prepare_desk(company.halo, policy)
        sites = company.halo.call("GET", "/site")["sites"]
        assert [(one["name"], one["client_name"]) for one in sites if one["name"] == "Quay"] == [("Quay", "Fabrikam")]
        for noun, name in (("tickettype", "Welcome"), ("team", "Hosts"), ("roles", "Cook")):
            assert [one["name"] for one in company.halo.call("GET", f"/{noun}")].count(name) == 1
    finally:
        company.close()


def test_a_first_day_has_three_joiners_two_leavers_a_wave_and_a_break_glass_account_that_is_disabled(contoso: Company) -> None:
    play, titles, expected = contoso.play()
    assert (play.day, play.title, len(titles)) == (1, "A first day", len(play.acts))
    assert [one.workflow for one in expected].count("joiner") == 3
    assert [one.workflow for one in expected].count("leaver") == 2 + 6
    people = {one["id"]: one for one in contoso.people()}
    joined = [people[one.person_id] for one in expected if one.workflow == "joiner"]
    assert contoso.members(POLICY.joiner_group) == {one["displayName"] for one in joined}
    assert all(one.get("manager") for one in joined)
    disabled, deleted, *struck = (one for one in expected if one.workflow == "leaver")
    assert {people[one.person_id]["department"] for one in struck} == {"Sales"}
    assert not any(people[one.person_id]["accountEnabled"] for one in struck)
    assert people[disabled.person_id]["accountEnabled"] is False
    assert disabled.name in contoso.members("ITSM-ServiceDesk")
    assert deleted.person_id not in people
    (untouched,) = (one for one in expected if one.workflow is None)
    assert people[untouched.person_id]["accountEnabled"] is False


def test_somebody_asks_for_a_role_and_a_manager_whom_nobody_asks_answers_nothing(contoso: Company) -> None:
    _, _, expected = contoso.play()
    (asks,) = (one for one in expected if one.workflow == "role_change")
    assert asks.asks and asks.name in contoso.members("ITSM-ChangeManagers")
    assert asks.name not in {one["name"] for one in _rows(contoso.halo.call("GET", "/Agent"))}


def test_the_manager_approves_the_question_about_that_person_and_no_other(contoso: Company) -> None:
    play = Play(contoso.graph.url, contoso.halo.url)
    try:
        asked, approved = (act for act in play.acts if "role" in act.title or "approves" in act.title)
        (one,) = asked.do()
        manager = next(user for user in contoso.halo.call("GET", "/Users?count=200")["users"] if user["name"] in approved.title)
        process = contoso.halo.call("GET", "/ApprovalProcess")[0]["id"]
        start = {"new_approvalprocess": process, "new_approvalprocess_user_id": manager["id"]}
        other, ours = (
            contoso.halo.call("POST", "/Tickets", [{"summary": f"A role: {name}", "details": "Please decide.", "user_id": manager["id"]}])[
                "id"
            ]
            for name in ("Somebody Else", one.name)
        )
        for ticket in (other, ours):
            contoso.halo.call("POST", "/Actions", [{"ticket_id": ticket, "outcome": "Ask", "note": "Please decide.", **start}])
        (done,) = approved.do()
        rows = {row["ticket_id"]: row["result"] for row in contoso.halo.call("GET", "/TicketApproval")}
        assert rows == {other: 0, ours: 1}
        assert (done.asks, done.role, done.before) == (False, "Change Manager", ())
    finally:
        play.close()


def test_nobody_asks_for_a_role_where_no_group_stands_for_one(contoso: Company) -> None:
    play = Play(contoso.graph.url, contoso.halo.url, role_group="")
    assert not [act for act in play.acts if "role" in act.title or "approves" in act.title]
    play.close()


def test_the_next_day_has_other_people_in_it_and_no_wave(contoso: Company) -> None:
    _, _, first = contoso.play()
    play, _, second = contoso.play()
    assert play.day == 2
    assert [one.workflow for one in second].count("leaver") == 2
    names = {one.name for one in first if one.workflow} & {one.name for one in second if one.workflow}
    assert names == set()


def test_the_play_goes_on_when_everybody_has_left_but_the_heads(contoso: Company) -> None:
    for one in contoso.people():
        if one.get("employeeId") and "Head of" not in one["jobTitle"]:
            contoso.graph.call("PATCH", f"/users/{one['id']}", {"accountEnabled": False})
    _, _, expected = contoso.play()
    assert [one.workflow for one in expected].count("joiner") == 3
    assert [one.workflow for one in expected].count("leaver") == 0


def test_a_pause_that_says_stop_ends_the_day(contoso: Company) -> None:
    play = Play(contoso.graph.url, contoso.halo.url)
    titles: list[str] = []
    play.perform(titles.append, lambda _: True)
    play.close()
    assert len(titles) == 1


def test_without_the_seeded_company_there_is_nothing_to_play() -> None:
    company = Company(empty=True)
    try:
        play, titles, expected = company.play()
        assert (play.has_company, titles, expected) == (False, [], [])
    finally:
        company.close()


def test_seeding_again_after_a_cut_changes_nothing_and_makes_nothing_twice(contoso: Company) -> None:
    before = contoso.people(), contoso.halo.call("GET", "/Users?count=200")["record_count"], contoso.members("ITSM-ServiceDesk")
    agents = len(_rows(contoso.halo.call("GET", "/Agent")))
    seed_company(contoso.graph, contoso.halo, POLICY)
    assert (contoso.people(), contoso.halo.call("GET", "/Users?count=200")["record_count"], contoso.members("ITSM-ServiceDesk")) == before
    assert len(_rows(contoso.halo.call("GET", "/Agent"))) == agents


def test_seeding_fills_in_what_a_cut_left_out(contoso: Company) -> None:
    gone = next(one for one in contoso.people() if one["userPrincipalName"].startswith("zofia"))
    contoso.graph.call("DELETE", f"/users/{gone['id']}")
    seed_company(contoso.graph, contoso.halo, POLICY)
    assert len([one for one in contoso.people() if one.get("employeeId")]) == 40
    assert "Zofia Wrona" in contoso.members("ITSM-ServiceDesk")
