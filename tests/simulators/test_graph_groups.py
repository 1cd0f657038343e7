"""Groups at the pretend Graph: members by reference, nesting, the groups that refuse, lookups, batches."""

import uuid
from typing import Any

import pytest

from tests.simulators.graphs import HOST, Tenant, code, done

MISSING = str(uuid.uuid4())


@pytest.fixture
def tenant() -> Tenant:
    return Tenant()


def test_a_group_is_found_by_its_name(tenant: Tenant) -> None:
    key = tenant.group("ITSM-NewJoiner")
    tenant.group("Other")
    found = tenant.rows("/groups?$filter=displayName eq 'ITSM-NewJoiner'")
    assert [row["id"] for row in found] == [key]
    assert (found[0]["securityEnabled"], found[0]["mailEnabled"], found[0]["groupTypes"]) == (True, False, [])
    assert tenant.client.patch(f"/groups/{key}", json={"description": "x"}).status_code == 204
    assert done(tenant.client.get(f"/groups/{key}"), 200)["description"] == "x"
    assert tenant.client.post("/groups", json={"description": "x"}).status_code == 400


def test_members_are_added_listed_and_removed_by_reference(tenant: Tenant) -> None:
    ada, team = tenant.person("ada"), tenant.group("Team")
    for kind in ("users", "directoryObjects"):
        link = {"@odata.id": f"{HOST}/v1.0/{kind}/{ada}"}
        assert tenant.client.post(f"/groups/{team}/members/$ref", json=link).status_code == 204
        again = tenant.client.post(f"/groups/{team}/members/$ref", json=link)
        assert code(again) == (400, "Request_BadRequest")
        assert again.json()["error"]["message"].startswith("One or more added object references already exist")
        rows = tenant.rows(f"/groups/{team}/members?$select=id,displayName,userPrincipalName")
        assert rows == [{"@odata.type": "#microsoft.graph.user", "id": ada, "displayName": "ada", "userPrincipalName": "ada@example.com"}]
        assert tenant.client.get(f"/groups/{team}/members/$count").text == "1"
        assert tenant.client.delete(f"/groups/{team}/members/{ada}/$ref").status_code == 204
        assert code(tenant.client.delete(f"/groups/{team}/members/{ada}/$ref")) == (404, "Request_ResourceNotFound")
    assert (
        tenant.client.post(f"/groups/{team}/members/$ref", json={"@odata.id": f"https://graph.microsoft.com/v1.0/users/{ada}"}).status_code
        == 400
    )
    assert tenant.client.post(f"/groups/{team}/members/$ref", json={"@odata.id": tenant.link(MISSING)}).status_code == 404
    assert done(tenant.client.get(f"/users/{ada}"), 200)["id"] == ada


def test_a_removal_without_ref_deletes_the_user(tenant: Tenant) -> None:
    ada, bob = tenant.person("ada"), tenant.person("bob")
    team = tenant.group("Team", ada)
    assert tenant.client.delete(f"/groups/{team}/members/{bob}").status_code == 404
    assert tenant.client.delete(f"/groups/{team}/members/{ada}").status_code == 204
    assert tenant.client.get(f"/users/{ada}").status_code == 404
    assert tenant.client.get(f"/directory/deletedItems/{ada}").status_code == 200
    assert tenant.client.get(f"/users/{bob}").status_code == 200


def test_at_most_twenty_members_are_bound_at_once(tenant: Tenant) -> None:
    people = [tenant.person(f"p{n}") for n in range(21)]
    links = [tenant.link(key) for key in people]
    assert tenant.client.post("/groups", json={"displayName": "Big", "members@odata.bind": links}).status_code == 400
    team = tenant.group("Team", *people[:20])
    assert tenant.client.patch(f"/groups/{team}", json={"members@odata.bind": links[20:]}).status_code == 204
    assert [row["id"] for row in tenant.rows(f"/groups/{team}/members?$top=6")] == people


def test_nested_groups_count_in_transitive_reads_only(tenant: Tenant) -> None:
    ada = tenant.person("ada")
    inner = tenant.group("Inner", ada)
    outer = tenant.group("Outer", inner)
    assert tenant.add(inner, outer).status_code == 204  # a circle
    assert tenant.add(inner, inner).status_code == 400
    assert [row["id"] for row in tenant.rows(f"/users/{ada}/memberOf")] == [inner]
    cast = tenant.rows(f"/users/{ada}/transitiveMemberOf/microsoft.graph.group?$select=id,displayName")
    assert [row["displayName"] for row in cast] == ["Inner", "Outer"]
    assert [row["id"] for row in tenant.rows(f"/groups/{outer}/transitiveMembers/graph.user")] == [ada]
    assert [row["id"] for row in tenant.rows(f"/groups/{outer}/members/microsoft.graph.user")] == []
    check = tenant.client.post(f"/users/{ada}/checkMemberGroups", json={"groupIds": [outer.upper(), MISSING]})
    assert done(check, 200)["value"] == [outer]
    assert tenant.client.post(f"/users/{ada}/checkMemberGroups", json={"groupIds": [MISSING] * 21}).status_code == 400
    assert tenant.client.post(f"/users/{ada}/checkMemberObjects", json={"ids": [inner]}).json()["value"] == [inner]
    assert tenant.client.post(f"/users/{ada}/microsoft.graph.getMemberGroups", json={"securityEnabledOnly": False}).json()["value"] == [
        inner,
        outer,
    ]
    assert tenant.client.delete(f"/groups/{outer}/members/{ada}/$ref").status_code == 404


@pytest.mark.parametrize(
    ("props", "refusal"),
    [
        ({"groupTypes": ["DynamicMembership"], "membershipRule": "x"}, (403, "Authorization_RequestDenied")),
        ({"isAssignableToRole": True}, (403, "Authorization_RequestDenied")),
        ({"onPremisesSyncEnabled": True}, (400, "Request_BadRequest")),
        ({"mailEnabled": True}, (400, "Request_BadRequest")),
    ],
)
def test_groups_that_belong_to_somebody_else_refuse_edits(tenant: Tenant, props: dict[str, Any], refusal: tuple[int, str]) -> None:
    ada, bob = tenant.person("ada"), tenant.person("bob")
    team = tenant.group("Team", ada, **props)
    assert code(tenant.client.delete(f"/groups/{team}/members/{ada}/$ref")) == refusal
    assert code(tenant.add(team, bob)) == refusal
    assert [row["id"] for row in tenant.rows(f"/groups/{team}/members")] == [ada]


def test_a_microsoft_365_group_can_be_edited(tenant: Tenant) -> None:
    ada = tenant.person("ada")
    assert tenant.add(tenant.group("Team", groupTypes=["Unified"], mailEnabled=True), ada).status_code == 204


def test_a_group_comes_back_with_its_members(tenant: Tenant) -> None:
    ada = tenant.person("ada")
    team = tenant.group("Team", ada)
    assert tenant.client.delete(f"/groups/{team}").status_code == 204
    assert tenant.rows(f"/users/{ada}/memberOf") == []
    assert done(tenant.client.post(f"/directory/deletedItems/{team}/restore"), 200)["displayName"] == "Team"
    assert [row["id"] for row in tenant.rows(f"/groups/{team}/members")] == [ada]


def test_ids_are_typed_and_missing_ones_left_out(tenant: Tenant) -> None:
    ada, gone = tenant.person("ada", department="x"), tenant.person("gone")
    team = tenant.group("Team")
    tenant.client.delete(f"/users/{gone}")
    asked = {"ids": [ada.upper(), team, gone, MISSING, ada]}
    rows = done(tenant.client.post("/directoryObjects/getByIds", json=asked), 200)["value"]
    assert [(row["@odata.type"], row["id"]) for row in rows] == [("#microsoft.graph.user", ada), ("#microsoft.graph.group", team)]
    assert "department" not in rows[0]
    only = tenant.client.post("/directoryObjects/microsoft.graph.getByIds", json=asked | {"types": ["group"]}).json()["value"]
    assert [row["id"] for row in only] == [team]
    assert tenant.client.post("/directoryObjects/getByIds", json={"ids": [MISSING] * 1001}).status_code == 400
    assert tenant.client.post("/directoryObjects/getByIds", json={}).status_code == 400
    assert done(tenant.client.get(f"/directoryObjects/{team}"), 200)["@odata.type"] == "#microsoft.graph.group"


def batch(tenant: Tenant, *calls: dict[str, Any]) -> Any:
    return tenant.client.post("/$batch", json={"requests": list(calls)})


def test_a_batch_answers_each_call_for_itself_and_is_logged_as_one(tenant: Tenant) -> None:
    ada = tenant.person("ada")
    tenant.bare.delete("/_calls")
    answer = batch(
        tenant,
        {"id": "1", "method": "GET", "url": f"/users/{ada}?$select=displayName&%24expand=manager"},
        {"id": "2", "method": "get", "url": f"users/{MISSING}"},
        {"id": "3", "method": "PATCH", "url": f"/users/{ada}", "headers": {"Content-Type": "application/json"}, "body": {"jobTitle": "x"}},
        {"id": "4", "method": "GET", "url": "/users/ada%40example.com"},
        {"id": "5", "method": "POST", "url": "/$batch", "headers": {"Content-Type": "application/json"}, "body": {"requests": []}},
    )
    rows = {row["id"]: row for row in done(answer, 200)["responses"]}
    assert [rows[key]["status"] for key in "12345"] == [200, 404, 204, 200, 400]
    assert rows["1"]["body"]["displayName"] == "ada" and rows["2"]["body"]["error"]["code"] == "Request_ResourceNotFound"
    assert "body" not in rows["3"]
    assert [(call["method"], call["path"]) for call in tenant.bare.get("/_calls").json()] == [("POST", "/v1.0/$batch")]


def test_a_batch_waits_for_what_a_call_depends_on_and_fails_with_it(tenant: Tenant) -> None:
    json_type = {"Content-Type": "application/json"}
    new = {"accountEnabled": True, "displayName": "x", "userPrincipalName": "x@example.com"}
    rows = done(
        batch(
            tenant,
            {"id": "c", "method": "GET", "url": "/users", "dependsOn": ["B"]},
            {"id": "b", "method": "GET", "url": f"/users/{MISSING}", "dependsOn": ["a"]},
            {"id": "a", "method": "POST", "url": "/users", "headers": json_type, "body": new},
        ),
        200,
    )["responses"]
    assert {row["id"]: row["status"] for row in rows} == {"a": 201, "b": 404, "c": 424}


@pytest.mark.parametrize(
    "calls",
    [
        [],
        [{"id": str(n), "method": "GET", "url": "/users"} for n in range(21)],
        [{"id": "a", "method": "GET", "url": "/users"}, {"id": "A", "method": "GET", "url": "/users"}],
        [{"id": "a", "method": "PATCH", "url": "/users/x", "body": {}}],
        [{"id": "a", "method": "GET", "url": "/users", "dependsOn": ["z"]}],
        [{"id": "a", "method": "GET", "url": "/u", "dependsOn": ["b"]}, {"id": "b", "method": "GET", "url": "/u", "dependsOn": ["a"]}],
        [{"id": "a", "method": "GET"}],
        ["x"],
        [{"id": "a", "method": "GET", "url": "https://elsewhere.example/users"}],
    ],
)
def test_a_batch_that_is_none_is_a_400(tenant: Tenant, calls: list[Any]) -> None:
    assert tenant.client.post("/$batch", json={"requests": calls}).status_code == 400
