"""What every Directory promises, asked of Graph's adapter over the pretend Graph, and of the double in memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
import pytest

from adapters.graph import members
from adapters.graph.client import GraphClient
from adapters.graph.directory import GraphDirectory
from adapters.graph.members import membership
from adapters.graph.token import ClientCredentials
from joinery.domain.groups import GroupTraits, WatchedGroup
from joinery.domain.person import Absence, Manager, Person
from joinery.engine.memory import FakeClock
from joinery.engine.memory_directory import MemoryDirectory
from joinery.engine.ports import DeltaPage, Directory, LinkExpired
from joinery.errors import OutcomeUnknown, Refused, TryLater
from simulators.graph import PretendGraph, create_graph

BASE = "http://graph.local"
NOBODY = "00000000-0000-4000-8000-000000000000"


class World(Protocol):
    """A directory and the hand that changes it."""

    @property
    def directory(self) -> Directory: ...
    def person(self, name: str, **fields: Any) -> str: ...
    def change(self, person: str, **fields: Any) -> None: ...
    def manage(self, person: str, manager: str | None) -> None: ...
    def soft_delete(self, person: str) -> None: ...
    def restore(self, person: str) -> None: ...
    def purge(self, person: str) -> None: ...
    def group(self, name: str) -> str: ...
    def delete_group(self, group: str) -> None: ...
    def add(self, group: str, member: str) -> None: ...
    def remove(self, group: str, member: str) -> None: ...
    def expire_links(self) -> None: ...
    def break_once(self) -> None: ...
    def uneditable(self, group: str, trait: str) -> None: ...
    def licensed(self, group: str) -> None: ...
    def later(self) -> None: ...


class MemoryWorld:
    """The double, changed through its own methods."""

    def __init__(self, page_size: int) -> None:
        self.clock = FakeClock()
        self.directory = MemoryDirectory(clock=self.clock, page_size=page_size)

    def person(self, name: str, **fields: Any) -> str:
        id_ = str(uuid.uuid4())
        self.directory.put(Person(id=id_, display_name=name, user_principal_name=f"{id_}@x.example", user_type="Member", **fields))
        return id_

    def change(self, person: str, **fields: Any) -> None:
        self.directory.change(person, **fields)

    def manage(self, person: str, manager: str | None) -> None:
        boss = self.directory.look(manager, []) if manager else None
        shown = None
        if isinstance(boss, Person):
            shown = Manager(id=boss.id, display_name=boss.display_name, mail=boss.mail, user_principal_name=boss.user_principal_name)
        self.directory.change(person, manager=shown)

    def soft_delete(self, person: str) -> None:
        self.directory.soft_delete(person)

    def restore(self, person: str) -> None:
        self.directory.restore(person)

    def purge(self, person: str) -> None:
        self.directory.purge(person)

    def group(self, name: str) -> str:
        return self.directory.put_group(str(uuid.uuid4()), name=name).id

    def delete_group(self, group: str) -> None:
        self.directory.delete_group(group)

    def add(self, group: str, member: str) -> None:
        self.directory.add_member(group, member)

    def remove(self, group: str, member: str) -> None:
        self.directory.end_membership(group, member)

    def expire_links(self) -> None:
        self.directory.expire_links()

    def break_once(self) -> None:
        self.directory.fail(TryLater("not now"))

    def uneditable(self, group: str, trait: str) -> None:
        self.directory.put_traits(group, **{trait: True})

    def licensed(self, group: str) -> None:
        self.directory.put_traits(group, licensed=True)

    def later(self) -> None:
        self.clock.advance(minutes=1)


class GraphWorld:
    """The pretend Graph, changed through its public API."""

    def __init__(self, page_size: int) -> None:
        self.graph: PretendGraph = create_graph(None, notify=False, page_size=page_size)
        self.clock = FakeClock()
        transport = httpx.WSGITransport(app=self.graph.wsgi)
        self.tokens = ClientCredentials(
            authority=BASE,
            tenant="local",
            client_id="local",
            client_secret="local",
            scope=f"{BASE}/.default",
            transport=transport,
            clock=self.clock,
        )
        self.hand = httpx.Client(base_url=f"{BASE}/v1.0", transport=transport, headers={"Authorization": f"Bearer {self.tokens.token()}"})
        self.client = GraphClient(f"{BASE}/v1.0", self.tokens, transport=transport, clock=self.clock, sleep=self._sleep)
        self.directory = GraphDirectory(self.client, clock=self.clock)
        # Ids of fields that our record names differently from Graph.
        self._names = {"hire_date": "employeeHireDate"}

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)

    def _do(self, method: str, path: str, body: object = None) -> Any:
        reply = self.hand.request(method, path, json=body)
        assert reply.is_success, reply.text
        return reply.json() if reply.content else None

    def _wire(self, fields: dict[str, Any]) -> dict[str, Any]:
        def camel(name: str) -> str:
            first, *rest = name.split("_")
            return self._names.get(name) or first + "".join(part.capitalize() for part in rest)

        return {camel(name): value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}

    def person(self, name: str, **fields: Any) -> str:
        unique = uuid.uuid4()
        body = {
            "accountEnabled": True,
            "displayName": name,
            "mailNickname": f"n{unique}",
            "userPrincipalName": f"{unique}@x.example",
            "passwordProfile": {"password": "x"},
            **self._wire(fields),
        }
        return str(self._do("POST", "/users", body)["id"])

    def change(self, person: str, **fields: Any) -> None:
        self._do("PATCH", f"/users/{person}", self._wire(fields))

    def manage(self, person: str, manager: str | None) -> None:
        if manager is None:
            self._do("DELETE", f"/users/{person}/manager/$ref")
        else:
            self._do("PUT", f"/users/{person}/manager/$ref", {"@odata.id": f"{BASE}/v1.0/users/{manager}"})

    def soft_delete(self, person: str) -> None:
        self._do("DELETE", f"/users/{person}")

    def restore(self, person: str) -> None:
        self._do("POST", f"/directory/deletedItems/{person}/restore")

    def purge(self, person: str) -> None:
        if self.hand.get(f"/users/{person}").is_success:
            self.soft_delete(person)
        self._do("DELETE", f"/directory/deletedItems/{person}")

    def group(self, name: str) -> str:
        body = {"displayName": name, "mailEnabled": False, "mailNickname": "g", "securityEnabled": True}
        return str(self._do("POST", "/groups", body)["id"])

    def delete_group(self, group: str) -> None:
        self._do("DELETE", f"/groups/{group}")

    def add(self, group: str, member: str) -> None:
        self._do("POST", f"/groups/{group}/members/$ref", {"@odata.id": f"{BASE}/v1.0/directoryObjects/{member}"})

    def remove(self, group: str, member: str) -> None:
        self._do("DELETE", f"/groups/{group}/members/{member}/$ref")

    def expire_links(self) -> None:
        self._own("POST", "/_delta/expire", {})

    def break_once(self) -> None:
        self.fault(fault="status", status=500)

    def uneditable(self, group: str, trait: str) -> None:
        self._do("PATCH", f"/groups/{group}", TRAITS[trait])

    def licensed(self, group: str) -> None:
        licence = {"skuId": "00000000-0000-4000-8000-00000000e5e5", "disabledPlans": []}
        self._do("PATCH", f"/groups/{group}", {"assignedLicenses": [licence]})

    def later(self) -> None:
        self.graph.clock.advance(timedelta(minutes=1))

    def fault(self, **rule: Any) -> None:
        self._own("PUT", "/_faults", [{"match": {}, **rule}])

    def calls(self) -> list[str]:
        """The calls since the last time, and forget them."""
        seen = [f"{call['method']} {call['path']}" for call in self._own("GET", "/_calls").json()]
        self._own("DELETE", "/_calls")
        return seen

    def _own(self, method: str, path: str, body: object = None) -> httpx.Response:
        reply = self.hand.request(method, f"{BASE}{path}", json=body)
        assert reply.is_success, reply.text
        return reply


#: What makes a group one that cannot be edited, in Graph's words.
TRAITS: dict[str, dict[str, Any]] = {
    "dynamic": {"groupTypes": ["DynamicMembership"], "membershipRule": 'user.department -eq "Sales"'},
    "synced": {"onPremisesSyncEnabled": True},
    "role_assignable": {"isAssignableToRole": True},
    "mail_enabled": {"mailEnabled": True},
}

WORLDS: dict[str, Callable[[int], MemoryWorld | GraphWorld]] = {"memory": MemoryWorld, "graph": GraphWorld}


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = WORLDS[request.param](100)
    yield made
    if isinstance(made, GraphWorld):
        made.graph.close()


@pytest.fixture(params=sorted(WORLDS))
def paged_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The same with two rows per page."""
    made = WORLDS[request.param](2)
    yield made
    if isinstance(made, GraphWorld):
        made.graph.close()


@pytest.fixture
def graph_world() -> Iterator[GraphWorld]:
    made = GraphWorld(100)
    yield made
    made.graph.close()


def sweep(ask: Callable[[str | None], DeltaPage], link: str | None) -> tuple[set[str], set[str], str]:
    """All pages: people, groups, and the link for next time."""
    people: set[str] = set()
    groups: set[str] = set()
    for _ in range(50):
        page = ask(link)
        people.update(page.person_ids)
        groups.update(page.group_ids)
        if page.delta_link:
            assert page.next_link is None
            return people, groups, page.delta_link
        link = page.next_link
    raise AssertionError("the pages never end")


# --- looks ---


def test_a_person_is_shown_with_everything_we_ask_for(world: World) -> None:
    fields: dict[str, Any] = {
        "mail": "ann.o'neil@x.example",
        "given_name": "Ann",
        "surname": "O'Neil",
        "job_title": "Engineer",
        "department": "R&D",
        "company_name": "X",
        "office_location": "Zürich",
        "employee_id": "7",
        "employee_type": "Employee",
        "hire_date": datetime(2026, 2, 1, tzinfo=UTC),
    }
    ann = world.person("Ann O'Neil", **fields)
    seen = world.directory.look(ann, [])
    assert isinstance(seen, Person)
    assert seen.id == ann
    assert {name: getattr(seen, name) for name in fields} == fields
    assert (seen.display_name, seen.account_enabled, seen.user_type) == ("Ann O'Neil", True, "Member")
    assert (seen.manager, seen.groups) == (None, frozenset())


def test_what_the_directory_does_not_know_is_empty_text(world: World) -> None:
    seen = world.directory.look(world.person("Ann"), [])
    assert isinstance(seen, Person)
    assert (seen.mail, seen.department, seen.employee_id, seen.hire_date) == ("", "", "", None)


def test_a_disabled_account_is_a_person_still(world: World) -> None:
    ann = world.person("Ann")
    world.change(ann, account_enabled=False)
    seen = world.directory.look(ann, [])
    assert isinstance(seen, Person)
    assert not seen.account_enabled


def test_the_manager_comes_along_and_goes_again(world: World) -> None:
    ann, bob = world.person("Ann"), world.person("Bob O'Neil", mail="bob@x.example")
    world.manage(ann, bob)
    seen = world.directory.look(ann, [])
    assert isinstance(seen, Person)
    assert seen.manager is not None
    assert (seen.manager.id, seen.manager.display_name, seen.manager.mail) == (bob, "Bob O'Neil", "bob@x.example")
    world.manage(ann, None)
    seen = world.directory.look(ann, [])
    assert isinstance(seen, Person)
    assert seen.manager is None


def test_groups_are_shown_through_nesting_and_only_those_asked_for(world: World) -> None:
    ann = world.person("Ann")
    outer, middle, inner, other, empty = (world.group(name) for name in ("outer", "middle", "inner", "other", "empty"))
    world.add(outer, middle)
    world.add(middle, inner)
    world.add(inner, ann)
    world.add(other, ann)
    seen = world.directory.look(ann, [outer, inner, empty])
    assert isinstance(seen, Person)
    assert seen.groups == {outer, inner}
    world.remove(inner, ann)
    seen = world.directory.look(ann, [outer, inner, other])
    assert isinstance(seen, Person)
    assert seen.groups == {other}


def test_more_groups_than_one_question_takes_are_still_one_look(world: World) -> None:
    ann = world.person("Ann")
    groups = [world.group(f"g{number}") for number in range(43)]
    for group in groups[::10]:
        world.add(group, ann)
    seen = world.directory.look(ann, groups)
    assert isinstance(seen, Person)
    assert seen.groups == set(groups[::10])


def test_a_group_that_is_gone_is_a_group_nobody_is_in(world: World) -> None:
    ann, staff, gone = world.person("Ann"), world.group("staff"), world.group("gone")
    world.add(staff, ann)
    world.add(gone, ann)
    world.delete_group(gone)
    seen = world.directory.look(ann, [staff, gone])
    assert isinstance(seen, Person)
    assert seen.groups == {staff}


def test_a_soft_deleted_person_is_absent_with_evidence_and_comes_back_with_groups(world: World) -> None:
    ann, staff = world.person("Ann"), world.group("staff")
    world.add(staff, ann)
    world.soft_delete(ann)
    seen = world.directory.look(ann, [staff])
    assert isinstance(seen, Absence)
    assert (seen.id, seen.soft_deleted) == (ann, True)
    assert seen.deleted_at is not None
    assert seen.deleted_at.tzinfo is not None
    world.restore(ann)
    seen = world.directory.look(ann, [staff])
    assert isinstance(seen, Person)
    assert seen.groups == {staff}


def test_a_purged_person_and_one_who_never_was_are_simply_absent(world: World) -> None:
    ann = world.person("Ann")
    world.purge(ann)
    assert world.directory.look(ann, []) == Absence(id=ann, soft_deleted=False)
    assert world.directory.look(NOBODY, [world.group("staff")]) == Absence(id=NOBODY, soft_deleted=False)


def test_a_look_that_fails_says_so_and_the_next_one_works(world: World) -> None:
    ann = world.person("Ann")
    world.break_once()
    with pytest.raises(TryLater):
        world.directory.look(ann, [])
    assert isinstance(world.directory.look(ann, []), Person)


# --- groups ---


def test_groups_are_resolved_by_exact_name_and_unknown_names_are_left_out(world: World) -> None:
    name = "Kids' & Co. (50% + more) #1/2?"
    id_ = world.group(name)
    world.group("ITSM-Staff")
    assert world.directory.resolve_groups([name, "itsm-staff", "none", name]) == (WatchedGroup(name=name, id=id_),)
    assert world.directory.resolve_groups([]) == ()


def test_two_groups_of_one_name_are_both_told(world: World) -> None:
    ids = {world.group("Twin"), world.group("Twin")}
    assert {group.id for group in world.directory.resolve_groups(["Twin"])} == ids


def test_people_in_a_group_are_found_through_nesting_and_over_pages(paged_world: World) -> None:
    outer, inner = paged_world.group("outer"), paged_world.group("inner")
    people = {paged_world.person(f"p{number}") for number in range(5)}
    paged_world.add(outer, inner)
    for person in people:
        paged_world.add(inner, person)
    gone = paged_world.person("gone")
    paged_world.add(inner, gone)
    paged_world.soft_delete(gone)
    assert paged_world.directory.people_in(outer) == people
    paged_world.delete_group(outer)
    assert paged_world.directory.people_in(outer) == frozenset()


def test_ids_are_sorted_into_people_and_groups(world: World) -> None:
    ann, staff, gone = world.person("Ann"), world.group("staff"), world.person("gone")
    world.purge(gone)
    assert world.directory.people_among([ann, staff, gone, NOBODY]) == (frozenset({ann}), frozenset({staff}))
    assert world.directory.people_among([]) == (frozenset(), frozenset())


def test_whoever_reports_to_somebody_is_listed_over_all_pages_and_nobody_else(paged_world: World) -> None:
    boss, other = paged_world.person("Boss"), paged_world.person("Other")
    team = {paged_world.person(f"p{number}"): f"p{number}" for number in range(5)}
    for one in team:
        paged_world.manage(one, boss)
    moved = next(iter(team))
    paged_world.manage(moved, other)
    found = paged_world.directory.reports_of(boss)
    assert {one.id: one.display_name for one in found} == {one: name for one, name in team.items() if one != moved}
    assert [one.id for one in paged_world.directory.reports_of(other)] == [moved]
    assert paged_world.directory.reports_of(moved) == paged_world.directory.reports_of(NOBODY) == ()
    paged_world.soft_delete(boss)
    assert paged_world.directory.reports_of(boss) == ()


# --- deltas of people ---


def test_the_first_sweep_shows_everybody_over_all_pages(paged_world: World) -> None:
    people = {paged_world.person(f"p{number}") for number in range(5)}
    found, _, link = sweep(paged_world.directory.people_delta, None)
    assert found == people
    assert sweep(paged_world.directory.people_delta, link)[0] == set()


def test_a_sweep_shows_whoever_changed_came_or_went(world: World) -> None:
    same, changed, managed, deleted, purged, back = (world.person(f"p{number}") for number in range(6))
    world.soft_delete(back)
    link = sweep(world.directory.people_delta, None)[2]
    world.change(changed, department="IT")
    world.manage(managed, same)
    world.soft_delete(deleted)
    world.purge(purged)
    world.restore(back)
    new = world.person("new")
    found, _, again = sweep(world.directory.people_delta, link)
    assert found == {changed, managed, deleted, purged, back, new}
    assert sweep(world.directory.people_delta, again)[0] == set()


def test_the_same_link_may_be_asked_twice(world: World) -> None:
    link = sweep(world.directory.people_delta, None)[2]
    new = world.person("new")
    assert sweep(world.directory.people_delta, link)[0] == sweep(world.directory.people_delta, link)[0] == {new}


# --- deltas of groups ---


def test_the_first_sweep_of_groups_shows_all_members_of_those_groups_alone(paged_world: World) -> None:
    staff, admins, other = (paged_world.group(name) for name in ("staff", "admins", "other"))
    members = [paged_world.person(f"p{number}") for number in range(5)]
    for number, person in enumerate(members):
        paged_world.add((staff, admins)[number % 2], person)
    paged_world.add(other, paged_world.person("elsewhere"))
    found, unclear, link = sweep(lambda link: paged_world.directory.groups_delta([staff, admins], link), None)
    assert (found, unclear) == (set(members), set())
    assert sweep(lambda link: paged_world.directory.groups_delta([staff, admins], link), link)[:2] == (set(), set())


def test_a_sweep_of_groups_shows_who_came_and_who_left(world: World) -> None:
    staff, other = world.group("staff"), world.group("other")
    stays, leaves, comes, elsewhere = (world.person(name) for name in ("stays", "leaves", "comes", "elsewhere"))
    world.add(staff, stays)
    world.add(staff, leaves)
    link = sweep(lambda link: world.directory.groups_delta([staff], link), None)[2]
    world.remove(staff, leaves)
    world.add(staff, comes)
    world.add(other, elsewhere)
    assert sweep(lambda link: world.directory.groups_delta([staff], link), link)[:2] == ({leaves, comes}, set())


def test_a_nested_group_that_comes_or_goes_asks_for_a_comparison_of_the_watched_one(world: World) -> None:
    staff, nested = world.group("staff"), world.group("nested")
    link = sweep(lambda link: world.directory.groups_delta([staff], link), None)[2]
    world.add(staff, nested)
    people, unclear, link = sweep(lambda link: world.directory.groups_delta([staff], link), link)
    assert (people, unclear) == (set(), {staff})
    world.remove(staff, nested)
    assert sweep(lambda link: world.directory.groups_delta([staff], link), link)[:2] == (set(), {staff})


def test_a_group_that_is_deleted_asks_for_a_comparison(world: World) -> None:
    staff = world.group("staff")
    link = sweep(lambda link: world.directory.groups_delta([staff], link), None)[2]
    world.delete_group(staff)
    assert staff in sweep(lambda link: world.directory.groups_delta([staff], link), link)[1]


def test_one_link_takes_fifty_groups_and_none_is_no_question(world: World) -> None:
    with pytest.raises(ValueError, match="50"):
        world.directory.groups_delta([f"{number:08d}-0000-4000-8000-000000000000" for number in range(51)], None)
    assert world.directory.groups_delta([], None) == DeltaPage()


def test_old_and_unknown_links_are_expired_and_none_starts_again(world: World) -> None:
    ann, staff = world.person("Ann"), world.group("staff")
    people_link = sweep(world.directory.people_delta, None)[2]
    groups_link = sweep(lambda link: world.directory.groups_delta([staff], link), None)[2]
    world.expire_links()
    with pytest.raises(LinkExpired):
        world.directory.people_delta(people_link)
    with pytest.raises(LinkExpired):
        world.directory.groups_delta([staff], groups_link)
    with pytest.raises(LinkExpired):
        world.directory.people_delta("/users/delta?$deltatoken=nonsense")
    found, _, link = sweep(world.directory.people_delta, None)
    assert found == {ann}
    assert sweep(world.directory.people_delta, link)[0] == set()


# --- the double's own switches ---


def test_the_double_counts_looks_and_can_be_late() -> None:
    world = MemoryWorld(100)
    ann = world.person("Ann")
    world.directory.stale_looks(ann, times=2)
    world.change(ann, department="IT")
    seen = [world.directory.look(ann, []) for _ in range(3)]
    assert [person.department for person in seen if isinstance(person, Person)] == ["", "", "IT"]
    assert world.directory.looks == {ann: 3}


def test_the_double_takes_direct_groups_with_the_person() -> None:
    directory = MemoryDirectory()
    ann = Person(id="ann", groups=frozenset({"staff"}))
    directory.put(ann)
    link = directory.groups_delta(["staff"], None).delta_link
    assert directory.look("ann", ["staff"]) == ann
    directory.put(ann.evolve(groups=frozenset()))
    assert directory.look("ann", ["staff"]) == Person(id="ann")
    assert directory.groups_delta(["staff"], link).person_ids == ("ann",)


# --- Graph alone ---


def test_a_look_costs_graph_one_call_and_a_look_at_nobody_two(graph_world: GraphWorld) -> None:
    ann, staff = graph_world.person("Ann"), graph_world.group("staff")
    graph_world.calls()
    graph_world.directory.look(ann, [staff])
    assert graph_world.calls() == ["POST /v1.0/$batch"]
    graph_world.directory.look(NOBODY, [staff])
    assert graph_world.calls() == ["POST /v1.0/$batch", f"GET /v1.0/directory/deletedItems/{NOBODY}"]


def test_a_sweep_without_changes_costs_graph_one_call_per_token(graph_world: GraphWorld) -> None:
    staff = graph_world.group("staff")
    graph_world.add(staff, graph_world.person("Ann"))
    people_link = sweep(graph_world.directory.people_delta, None)[2]
    groups_link = sweep(lambda link: graph_world.directory.groups_delta([staff], link), None)[2]
    graph_world.calls()
    assert sweep(graph_world.directory.people_delta, people_link)[:2] == (set(), set())
    assert sweep(lambda link: graph_world.directory.groups_delta([staff], link), groups_link)[:2] == (set(), set())
    assert graph_world.calls() == ["GET /v1.0/users/delta", "GET /v1.0/groups/delta"]


def test_a_throttled_look_is_repeated_after_its_pause(graph_world: GraphWorld) -> None:
    ann = graph_world.person("Ann")
    graph_world.fault(fault="throttle", retry_after=2)
    started_at = graph_world.clock.monotonic()
    assert isinstance(graph_world.directory.look(ann, []), Person)
    assert graph_world.clock.monotonic() - started_at == 2


def test_a_revoked_token_is_replaced_without_anyone_noticing(graph_world: GraphWorld) -> None:
    ann = graph_world.person("Ann")
    graph_world.fault(fault="status", status=401, body={"error": {"code": "InvalidAuthenticationToken", "message": "expired"}})
    graph_world.calls()
    assert isinstance(graph_world.directory.look(ann, []), Person)
    assert graph_world.calls() == ["POST /v1.0/$batch", "POST /local/oauth2/v2.0/token", "POST /v1.0/$batch"]


def test_empty_pages_and_groups_in_pieces_are_put_together(graph_world: GraphWorld) -> None:
    graph_world.graph.switches.delta_empty_pages = 2
    graph_world.graph.switches.members_per_row = 2
    graph_world.graph.switches.page_size = 1
    staff = graph_world.group("staff")
    members = {graph_world.person(f"p{number}") for number in range(5)}
    for person in members:
        graph_world.add(staff, person)
    assert sweep(graph_world.directory.people_delta, None)[0] == members
    assert sweep(lambda link: graph_world.directory.groups_delta([staff], link), None)[0] == members


def test_a_link_survives_that_graph_moves_to_another_address(graph_world: GraphWorld) -> None:
    link = sweep(graph_world.directory.people_delta, None)[2]
    new = graph_world.person("new")
    moved = GraphClient("http://127.0.0.1:7081/v1.0", graph_world.tokens, transport=httpx.WSGITransport(app=graph_world.graph.wsgi))
    assert sweep(GraphDirectory(moved).people_delta, link)[0] == {new}


def test_a_replica_that_does_not_know_a_new_person_yet_is_absence_without_evidence(graph_world: GraphWorld) -> None:
    ann, staff = graph_world.person("Ann"), graph_world.group("staff")
    graph_world.add(staff, ann)
    graph_world.fault(fault="stale_read", delay=3600)
    assert graph_world.directory.look(ann, [staff]) == Absence(id=ann, soft_deleted=False)
    seen = graph_world.directory.look(ann, [staff])
    assert isinstance(seen, Person)
    assert seen.groups == {staff}


# --- editing a group


def test_a_membership_ends_and_the_account_stays(world: World) -> None:
    ann, staff, other = world.person("Ann"), world.group("staff"), world.group("other")
    world.add(staff, ann)
    world.add(other, ann)
    world.directory.remove_member(staff, ann)
    seen = world.directory.look(ann, [staff, other])
    assert isinstance(seen, Person)
    assert (seen.account_enabled, seen.groups) == (True, {other})


def test_a_membership_that_is_not_there_or_only_nested_stays_as_it_is(world: World) -> None:
    ann, outer, inner = world.person("Ann"), world.group("outer"), world.group("inner")
    world.add(outer, inner)
    world.add(inner, ann)
    world.directory.remove_member(outer, ann)
    world.directory.remove_member(world.group("empty"), ann)
    world.directory.remove_member(NOBODY, ann)
    seen = world.directory.look(ann, [outer, inner])
    assert isinstance(seen, Person) and seen.groups == {outer, inner}


def test_the_groups_that_list_somebody_themselves_come_with_what_stands_in_the_way(world: World) -> None:
    ann, outer, inner, rule = world.person("Ann"), world.group("outer"), world.group("inner"), world.group("rule")
    world.add(outer, inner)
    for group in (inner, rule):
        world.add(group, ann)
    world.uneditable(rule, "dynamic")
    found = {group.id: (group.name, group.traits) for group in world.directory.groups_of(ann)}
    assert found == {inner: ("inner", GroupTraits()), rule: ("rule", GroupTraits(dynamic=True))}


def test_more_groups_than_a_page_holds_are_all_listed(graph_world: GraphWorld) -> None:
    ann, groups = graph_world.person("Ann"), {graph_world.group(f"g{number}") for number in range(7)}
    for group in groups:
        graph_world.add(group, ann)
    assert {group.id for group in members.direct(graph_world.client, ann, rows=2)} == groups


def test_a_group_that_gives_licences_says_so_and_can_be_left(world: World) -> None:
    ann, staff = world.person("Ann"), world.group("staff")
    world.add(staff, ann)
    world.licensed(staff)
    assert [group.traits for group in world.directory.groups_of(ann)] == [GroupTraits(licensed=True)]
    assert world.directory.group_traits(staff) == GroupTraits(licensed=True)
    world.directory.remove_member(staff, ann)
    assert world.directory.groups_of(ann) == ()


def test_sessions_end_at_a_moment_that_a_later_read_shows_and_the_account_stays(world: World) -> None:
    ann = world.person("Ann")
    world.change(ann, account_enabled=False)
    assert world.directory.sessions_valid_from(ann) is None
    world.directory.revoke_sessions(ann)
    first = world.directory.sessions_valid_from(ann)
    assert first is not None
    world.later()
    world.directory.revoke_sessions(ann)
    again = world.directory.sessions_valid_from(ann)
    assert again is not None and again > first
    seen = world.directory.look(ann, [])
    assert isinstance(seen, Person) and not seen.account_enabled


def test_whoever_is_not_there_has_no_groups_to_list_and_no_sessions_to_end(world: World) -> None:
    """For later, not for granted: a look tells whether they are gone, or a replica lags."""
    gone = world.person("Gone")
    world.soft_delete(gone)
    for nobody in (gone, NOBODY):
        for ask in (world.directory.groups_of, world.directory.sessions_valid_from, world.directory.revoke_sessions):
            with pytest.raises(TryLater):
                ask(nobody)


def test_trouble_is_never_an_empty_list_of_groups(world: World) -> None:
    ann = world.person("Ann")
    world.break_once()
    with pytest.raises(TryLater):
        world.directory.groups_of(ann)


def test_a_second_page_of_groups_that_is_refused_is_no_short_list(graph_world: GraphWorld) -> None:
    ann = graph_world.person("Ann")
    for number in range(3):
        graph_world.add(graph_world.group(f"g{number}"), ann)
    graph_world.fault(fault="status", status=403, after=1)
    with pytest.raises(Refused):
        members.direct(graph_world.client, ann, rows=1)


@pytest.mark.parametrize(("status", "error"), [(403, Refused), (429, TryLater), (500, OutcomeUnknown), (503, OutcomeUnknown)])
def test_the_end_of_sessions_is_sent_once_whatever_comes_back(graph_world: GraphWorld, status: int, error: type[Exception]) -> None:
    ann = graph_world.person("Ann")
    graph_world.calls()
    graph_world.fault(fault="status", status=status, match={"method": "POST", "path": f"/v1.0/users/{ann}/revokeSignInSessions"})
    with pytest.raises(error):
        graph_world.directory.revoke_sessions(ann)
    assert graph_world.calls() == [f"POST /v1.0/users/{ann}/revokeSignInSessions"]


def test_sessions_that_ended_and_were_answered_with_trouble_show_as_ended(graph_world: GraphWorld) -> None:
    ann = graph_world.person("Ann")
    graph_world.fault(fault="done_status", status=504, match={"method": "POST", "path": f"/v1.0/users/{ann}/revokeSignInSessions"})
    with pytest.raises(OutcomeUnknown):
        graph_world.directory.revoke_sessions(ann)
    assert graph_world.directory.sessions_valid_from(ann) is not None


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_2xx_ends_sessions(graph_world: GraphWorld, status: int) -> None:
    """A known issue of Graph says that another one than 200 may come back."""
    ann = graph_world.person("Ann")
    graph_world.fault(fault="status", status=status, match={"method": "POST", "path": f"/v1.0/users/{ann}/revokeSignInSessions"})
    graph_world.directory.revoke_sessions(ann)


def test_an_ordinary_group_can_be_edited_and_one_that_is_gone_is_not_there(world: World) -> None:
    assert world.directory.group_traits(world.group("staff")) == GroupTraits()
    assert world.directory.group_traits(NOBODY) == GroupTraits(there=False)


@pytest.mark.parametrize("trait", sorted(TRAITS))
def test_a_group_that_cannot_be_edited_says_why_and_refuses(world: World, trait: str) -> None:
    ann, staff = world.person("Ann"), world.group("staff")
    world.add(staff, ann)
    world.uneditable(staff, trait)
    assert world.directory.group_traits(staff) == GroupTraits(**{trait: True})
    with pytest.raises(Refused):
        world.directory.remove_member(staff, ann)
    seen = world.directory.look(ann, [staff])
    assert isinstance(seen, Person) and seen.groups == {staff}


def test_a_group_with_a_mailbox_of_its_own_kind_can_be_edited(graph_world: GraphWorld) -> None:
    team = graph_world.group("team")
    graph_world._do("PATCH", f"/groups/{team}", {"groupTypes": ["Unified"], "mailEnabled": True})
    assert graph_world.directory.group_traits(team) == GroupTraits()


def test_what_is_deleted_is_the_membership_and_never_the_member(graph_world: GraphWorld) -> None:
    """Graph deletes the user where the path of a DELETE does not end in /$ref."""
    ann, staff = graph_world.person("Ann"), graph_world.group("staff")
    graph_world.add(staff, ann)
    graph_world.calls()
    graph_world.directory.remove_member(staff, ann)
    assert graph_world.calls() == [f"DELETE /v1.0/groups/{staff}/members/{ann}/$ref"]
    assert membership(staff, ann).endswith("/$ref")


def test_a_removal_whose_answer_was_lost_is_unknown_and_may_be_repeated(graph_world: GraphWorld) -> None:
    ann, staff = graph_world.person("Ann"), graph_world.group("staff")
    graph_world.add(staff, ann)
    graph_world.fault(fault="status", status=500, match={"method": "DELETE"})
    with pytest.raises(OutcomeUnknown):
        graph_world.directory.remove_member(staff, ann)
    graph_world.directory.remove_member(staff, ann)
    seen = graph_world.directory.look(ann, [staff])
    assert isinstance(seen, Person) and seen.groups == frozenset()


# --- by address ---


def test_an_address_names_the_one_account_that_has_it_as_mail_or_sign_in_name(world: World) -> None:
    ann = world.person("Ann", mail="ann.mail@x.example")
    boss = world.person("Boss")
    world.manage(ann, boss)
    found = world.directory.by_address(" ANN.Mail@x.example ")
    assert found is not None
    assert (found.id, found.display_name, found.mail) == (ann, "Ann", "ann.mail@x.example")
    assert found.manager is not None
    assert found.manager.id == boss
    again = world.directory.by_address(found.user_principal_name)
    assert again is not None
    assert again.id == ann


def test_an_address_of_nobody_or_of_two_names_nobody(world: World) -> None:
    world.person("Ann", mail="shared@x.example")
    world.person("Bob", mail="Shared@x.example")
    gone = world.person("Gone", mail="gone@x.example")
    world.soft_delete(gone)
    for address in ("shared@x.example", "gone@x.example", "nobody@x.example", "", "o'brien@x.example", "x' or 'a' eq 'a"):
        assert world.directory.by_address(address) is None, address


def test_a_disabled_account_still_has_its_address(world: World) -> None:
    ann = world.person("Ann", mail="ann@x.example")
    world.change(ann, account_enabled=False)
    found = world.directory.by_address("ann@x.example")
    assert found is not None
    assert not found.account_enabled


def test_an_address_is_not_believed_to_be_nobodys_while_the_directory_is_in_trouble(world: World) -> None:
    world.person("Ann", mail="ann@x.example")
    world.break_once()
    with pytest.raises(TryLater):
        world.directory.by_address("ann@x.example")


# --- throttling ---


def batches(world: GraphWorld) -> int:
    return sum(call == "POST /v1.0/$batch" for call in world.calls())


def test_a_429_without_a_word_about_the_pause_is_repeated_after_one_of_our_own(graph_world: GraphWorld) -> None:
    ann = graph_world.person("Ann")
    graph_world.fault(fault="throttle", times=2)
    started_at = graph_world.clock.monotonic()
    assert isinstance(graph_world.directory.look(ann, []), Person)
    assert graph_world.clock.monotonic() - started_at == 3


@pytest.mark.parametrize(
    ("trouble", "waited"),
    [({"status": 429, "headers": {"Retry-After": "4"}}, 4.0), ({"status": 429}, 1.0), ({"status": 503}, 0.2), ({"status": 504}, 0.2)],
)
def test_of_a_batch_only_the_call_in_trouble_is_asked_again_after_its_own_pause(
    graph_world: GraphWorld, trouble: dict[str, Any], waited: float
) -> None:
    ann, staff = graph_world.person("Ann"), graph_world.group("staff")
    graph_world.add(staff, ann)
    # Were the person asked again too, the second answer would be this.
    rules = [
        {"match": {"path": f"/v1.0/users/{ann}/checkMemberGroups"}, "fault": "item_status", **trouble},
        {"match": {"path": f"/v1.0/users/{ann}"}, "fault": "item_status", "status": 403, "after": 1},
    ]
    graph_world._own("PUT", "/_faults", rules)
    graph_world.calls()
    started_at = graph_world.clock.monotonic()
    seen = graph_world.directory.look(ann, [staff])
    assert isinstance(seen, Person) and seen.groups == {staff}
    assert graph_world.clock.monotonic() - started_at == pytest.approx(waited)
    assert batches(graph_world) == 2


def test_a_call_of_a_batch_that_stays_in_trouble_is_for_later_with_its_pause(graph_world: GraphWorld) -> None:
    ann = graph_world.person("Ann")
    rule = {"match": {"path": f"/v1.0/users/{ann}"}, "fault": "item_status", "status": 429, "headers": {"Retry-After": "4"}, "times": None}
    graph_world._own("PUT", "/_faults", [rule])
    graph_world.calls()
    with pytest.raises(TryLater) as caught:
        graph_world.directory.look(ann, [])
    assert caught.value.after == timedelta(seconds=4)
    # Three pauses; another would not fit into the fifteen seconds that a look has.
    assert batches(graph_world) == 4
    assert graph_world.clock.monotonic() < 15


@pytest.mark.parametrize("status", [503, 504])
def test_a_removal_that_was_done_and_answered_with_trouble_is_unknown_and_sent_once(graph_world: GraphWorld, status: int) -> None:
    ann, staff = graph_world.person("Ann"), graph_world.group("staff")
    graph_world.add(staff, ann)
    graph_world.calls()
    graph_world.fault(fault="done_status", status=status)
    with pytest.raises(OutcomeUnknown):
        graph_world.directory.remove_member(staff, ann)
    assert graph_world.calls() == [f"DELETE /v1.0/groups/{staff}/members/{ann}/$ref"]
    seen = graph_world.directory.look(ann, [staff])
    assert isinstance(seen, Person) and seen.groups == frozenset()
    # The look told; whoever asks again all the same does no harm.
    graph_world.directory.remove_member(staff, ann)


# --- groups inside groups ---


def test_groups_inside_groups_are_told_through_nesting(world: World) -> None:
    outer, inner, innermost, gone = (world.group(name) for name in ("outer", "inner", "innermost", "gone"))
    world.add(outer, inner)
    world.add(inner, innermost)
    world.add(outer, world.person("Ann"))
    world.delete_group(gone)
    assert world.directory.groups_within([outer, inner, innermost, gone]) == {
        outer: {inner, innermost},
        inner: {innermost},
        innermost: frozenset(),
        gone: frozenset(),
    }


def test_many_groups_are_asked_for_what_lies_in_them_twenty_a_call(graph_world: GraphWorld) -> None:
    groups = [graph_world.group(f"g{number}") for number in range(21)]
    graph_world.calls()
    assert len(graph_world.directory.groups_within(groups)) == 21
    assert batches(graph_world) == 2
