"""Delta at the pretend Graph: what changed since a token, and only that."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.graphs import HOST, Tenant, code, done


@pytest.fixture
def tenant() -> Tenant:
    return Tenant()


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def test_the_first_round_lists_everybody_over_pages_and_the_next_nothing_in_one_call(tenant: Tenant) -> None:
    people = [tenant.person(f"p{n}") for n in range(5)]
    tenant.bare.put("/_switches", json={"page_size": 2})
    rows, link = tenant.sweep("/users/delta?$select=displayName")
    assert ids(rows) == people and link.startswith(f"{HOST}/v1.0/users/delta?$deltatoken=")
    tenant.bare.delete("/_calls")
    assert tenant.sweep(link)[0] == []
    assert len(tenant.bare.get("/_calls").json()) == 1


@pytest.mark.parametrize("path", ["/users/delta", "/users/delta()", "/users/microsoft.graph.delta()", "/users/microsoft.graph.delta"])
def test_every_spelling_of_delta_works(tenant: Tenant, path: str) -> None:
    ada = tenant.person("ada")
    assert ids(tenant.sweep(path)[0]) == [ada]


def test_only_what_changed_comes_and_only_if_it_was_selected(tenant: Tenant) -> None:
    ada, bob = tenant.person("ada", department="x"), tenant.person("bob")
    _, link = tenant.sweep("/users/delta?$select=department,accountEnabled")
    tenant.client.patch(f"/users/{bob}", json={"jobTitle": "not selected"})
    tenant.client.patch(f"/users/{ada}", json={"accountEnabled": False, "department": "x"})
    rows, link = tenant.sweep(link)
    assert rows == [{"id": ada, "department": "x", "accountEnabled": False}]
    tenant.client.patch(f"/users/{ada}", json={"department": None})
    minimal, _ = tenant.sweep(link, Prefer="return=minimal")
    assert minimal == [{"id": ada, "department": None}]


def test_a_token_of_an_empty_directory_sees_the_first_person(tenant: Tenant) -> None:
    _, link = tenant.sweep("/users/delta")
    ada = tenant.person("ada")
    assert ids(tenant.sweep(link)[0]) == [ada]


def test_latest_gives_a_link_alone(tenant: Tenant) -> None:
    tenant.person("ada")
    rows, link = tenant.sweep("/users/delta?$deltatoken=latest&$select=displayName")
    assert rows == []
    bob = tenant.person("bob")
    assert ids(tenant.sweep(link)[0]) == [bob]


def test_removed_restored_and_purged_people_are_told_apart(tenant: Tenant) -> None:
    ada = tenant.person("ada")
    _, link = tenant.sweep("/users/delta")
    tenant.client.delete(f"/users/{ada}")
    rows, link = tenant.sweep(link)
    assert rows == [{"id": ada, "@removed": {"reason": "changed"}}]
    tenant.client.post(f"/directory/deletedItems/{ada}/restore")
    rows, link = tenant.sweep(link)
    assert rows[0]["displayName"] == "ada" and "@removed" not in rows[0]
    tenant.client.delete(f"/users/{ada}")
    tenant.client.delete(f"/directory/deletedItems/{ada}")
    rows, link = tenant.sweep(link)
    assert rows == [{"id": ada, "@removed": {"reason": "deleted"}}]
    assert tenant.sweep("/users/delta")[0] == []


def test_managers_are_tracked_where_selected(tenant: Tenant) -> None:
    boss, other, ada = tenant.person("boss"), tenant.person("other"), tenant.person("ada")
    _, link = tenant.sweep("/users/delta?$select=displayName,manager")
    _, without = tenant.sweep("/users/delta?$select=displayName")
    tenant.client.put(f"/users/{ada}/manager/$ref", json={"@odata.id": tenant.link(boss)})
    rows, link = tenant.sweep(link)
    assert ids(rows) == [ada] and rows[0]["manager@delta"] == [{"@odata.type": "#microsoft.graph.user", "id": boss}]
    tenant.client.put(f"/users/{ada}/manager/$ref", json={"@odata.id": tenant.link(other)})
    rows, link = tenant.sweep(link)
    assert {entry["id"]: "@removed" in entry for entry in rows[0]["manager@delta"]} == {boss: True, other: False}
    assert tenant.sweep(without)[0] == []


def test_memberships_are_told_with_additions_and_removals(tenant: Tenant) -> None:
    ada, bob = tenant.person("ada"), tenant.person("bob")
    team = tenant.group("Team", ada)
    rows, link = tenant.sweep("/groups/delta?$select=displayName,members&$expand=members")
    assert rows == [{"id": team, "displayName": "Team", "members@delta": [{"@odata.type": "#microsoft.graph.user", "id": ada}]}]
    tenant.add(team, bob)
    tenant.client.delete(f"/groups/{team}/members/{ada}/$ref")
    rows, link = tenant.sweep(link)
    gone = {"@odata.type": "#microsoft.graph.user", "id": ada, "@removed": {"reason": "deleted"}}
    assert rows[0]["members@delta"] == [gone, {"@odata.type": "#microsoft.graph.user", "id": bob}]
    for method, path in (("DELETE", f"/users/{bob}"), ("POST", f"/directory/deletedItems/{bob}/restore"), ("DELETE", f"/users/{bob}")):
        tenant.client.request(method, path)
        rows, link = tenant.sweep(link)
        assert ids(rows) == [team] and ids(rows[0]["members@delta"]) == [bob]
    tenant.client.delete(f"/directory/deletedItems/{bob}")
    rows, link = tenant.sweep(link)
    assert rows[0]["members@delta"][0]["@removed"] == {"reason": "deleted"}
    _, names_only = tenant.sweep("/groups/delta?$select=displayName")
    tenant.add(team, ada)
    assert tenant.sweep(names_only)[0] == []


def test_a_big_group_spans_rows_and_pages_and_a_round_may_begin_empty(tenant: Tenant) -> None:
    people = [tenant.person(f"p{n}") for n in range(7)]
    team = tenant.group("Team", *people)
    tenant.bare.put("/_switches", json={"page_size": 2, "members_per_row": 2, "delta_empty_pages": 1})
    first = done(tenant.client.get("/groups/delta?$select=members"), 200)
    assert first["value"] == [] and "@odata.nextLink" in first
    rows, _ = tenant.sweep("/groups/delta?$select=members")
    assert ids(rows) == [team] * 4
    assert [entry["id"] for row in rows for entry in row["members@delta"]] == people


def test_a_change_during_a_round_is_not_lost(tenant: Tenant) -> None:
    people = [tenant.person(f"p{n}") for n in range(4)]
    tenant.bare.put("/_switches", json={"page_size": 2})
    page = done(tenant.client.get("/users/delta"), 200)
    tenant.client.patch(f"/users/{people[0]}", json={"jobTitle": "x"})
    new = tenant.person("new")
    _, link = tenant.sweep(page["@odata.nextLink"])
    assert {people[0], new} <= set(ids(tenant.sweep(link)[0]))


def test_ids_can_be_filtered_up_to_fifty(tenant: Tenant) -> None:
    ada, bob, eve = tenant.person("ada"), tenant.person("bob"), tenant.person("eve")
    rows, link = tenant.sweep(f"/users/delta?$filter=id eq '{ada}' or id eq '{bob.upper()}'")
    assert ids(rows) == [ada, bob]
    tenant.client.patch(f"/users/{eve}", json={"jobTitle": "x"})
    assert tenant.sweep(link)[0] == []
    many = " or ".join(f"id eq '{uuid.uuid4()}'" for _ in range(51))
    assert tenant.client.get("/users/delta", params={"$filter": many}).status_code == 400
    assert tenant.client.get("/users/delta", params={"$filter": "displayName eq 'x'"}).status_code == 400


def test_old_forged_and_foreign_tokens_are_refused(tenant: Tenant) -> None:
    _, link = tenant.sweep("/users/delta")
    assert tenant.client.get(link.replace("/users/", "/groups/")).status_code == 400
    assert tenant.client.get("/users/delta?$deltatoken=x.y").status_code == 400
    assert tenant.client.get("/users/delta?$select=shoeSize").status_code == 400
    tenant.bare.put("/_clock", json={"now": "2090-01-01T00:00:00Z"})
    assert code(tenant.client.get(link)) == (400, "syncStateNotFound")


def test_a_reset_is_a_410_with_a_location_to_start_from(tenant: Tenant) -> None:
    ada = tenant.person("ada")
    _, link = tenant.sweep("/users/delta?$select=displayName,department")
    _, groups = tenant.sweep("/groups/delta")
    assert tenant.bare.post("/_delta/expire", json={"resource": "users"}).status_code == 204
    answer = tenant.client.get(link)
    assert code(answer) == (410, "resyncRequired")
    assert ids(tenant.sweep(answer.headers["Location"])[0]) == [ada]
    assert tenant.sweep(groups)[0] == []


def test_a_token_survives_a_restart(tmp_path: Path) -> None:
    before = Tenant(tmp_path)
    before.person("ada")
    _, link = before.sweep("/users/delta")
    before.graph.close()
    after = Tenant(tmp_path)
    bob = after.person("bob")
    assert ids(after.sweep(link)[0]) == [bob]


def test_rows_come_again_on_the_next_page_and_rounds_are_replayed_where_that_is_switched_on(tenant: Tenant) -> None:
    tenant.graph.switches.change({"page_size": 2, "delta_repeats": True})
    people = [tenant.person(f"p{number}") for number in range(4)]
    rows, link = tenant.sweep("/users/delta?$select=department")
    assert [row["id"] for row in rows] == [people[0], people[1], people[1], people[2], people[2], people[3]]
    tenant.client.patch(f"/users/{people[0]}", json={"department": "Legal"})
    rows, link = tenant.sweep(link)
    assert [row["id"] for row in rows] == [people[0]]
    rows, link = tenant.sweep(link)
    assert [row["id"] for row in rows] == [people[0]]


def test_members_of_other_kinds_are_told_with_their_type(tenant: Tenant) -> None:
    device = done(tenant.client.post("/devices", json={"displayName": "laptop"}), 201)["id"]
    robot = done(tenant.client.post("/servicePrincipals", json={"displayName": "robot"}), 201)["id"]
    group = tenant.group("staff", device, robot)
    (row,), link = tenant.sweep("/groups/delta?$select=members")
    assert [member["@odata.type"] for member in row["members@delta"]] == ["#microsoft.graph.device", "#microsoft.graph.servicePrincipal"]
    done(tenant.client.delete(f"/devices/{device}"), 204)
    (row,), link = tenant.sweep(link)
    assert row["members@delta"] == [{"@odata.type": "#microsoft.graph.device", "id": device, "@removed": {"reason": "deleted"}}]
    assert [member["id"] for member in tenant.rows(f"/groups/{group}/members")] == [robot]
