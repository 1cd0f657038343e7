"""Users, agents, roles and the rest of the reference data at the pretend Halo."""

import json

import pytest

from simulators.halo import create_halo, sign_in


@pytest.fixture
def http():
    return sign_in(create_halo())


def user(http, **members):
    return http.post("/api/Users", json=[{"name": "Ann Example", "site_id": 18, **members}])


def agent(http, **members):
    return http.post("/api/Agent", json=[{"name": "Sam Support", "email": "sam@example.com", **members}])


def names(http, **query):
    return [row["name"] for row in http.get("/api/Users", params={"exclude_generaluser": "true", **query}).json()["users"]]


def roles(http):
    return {row["name"]: row for row in http.get("/api/Roles").json()}


def held(http, agent_id):
    return [role["name"] for role in http.get(f"/api/Agent/{agent_id}").json()["roles"]]


# Users


def test_a_users_site_is_a_double_with_an_integer_twin(http):
    answer = user(http, emailaddress="ann@example.com", title="Analyst")
    assert answer.status_code == 201
    row = answer.json()
    assert isinstance(row["site_id"], float)
    assert (row["site_id"], row["site_id_int"], row["site_name"], row["client_id"], row["client_name"]) == (
        18.0,
        18,
        "Head Office",
        12,
        "Contoso",
    )
    assert '"site_id": 18.0' in answer.text
    assert row["inactive"] is False
    moved = http.post("/api/Users", json=[{"id": row["id"], "site_id": 19.0}]).json()
    assert (moved["site_id_int"], moved["title"]) == (19, "Analyst")


def test_a_user_needs_a_name_and_a_site_that_exists(http):
    assert user(http, name=" ").status_code == 400
    assert user(http, site_id=555).status_code == 400
    assert user(http, site_id=18.5).status_code == 400
    assert http.post("/api/Users", json=[{"name": "x"}]).status_code == 400
    assert list(user(http, site_id="head").json()) == ["[0].site_id"]
    assert names(http) == []
    assert user(http, name="", firstname="Ann", surname="Example").json()["name"] == "Ann Example"


def test_two_users_may_share_a_mail_and_a_mail_needs_no_at_sign(http):
    assert user(http, emailaddress="same").json()["id"] != user(http, emailaddress="same").json()["id"]


def test_every_site_has_a_general_user_who_stays(http):
    rows = http.get("/api/Users").json()["users"]
    assert sorted((row["name"], row["site_name"]) for row in rows) == [
        ("General User", site) for site in ("Harbour", "Head Office", "North")
    ]
    assert names(http) == []
    assert http.delete(f"/api/Users/{rows[0]['id']}").status_code == 400
    http.post("/api/Site", json=[{"name": "York", "client_id": 12}])
    assert http.get("/api/Users").json()["record_count"] == 4


def test_inactive_users_hide_unless_they_are_asked_for(http):
    gone = user(http, name="Gone", inactive=True).json()
    user(http, name="Here")
    assert gone["inactive"] is True
    assert names(http) == ["Here"]
    assert names(http, includeinactive="true") == ["Gone", "Here"]
    assert names(http, includeinactive="true", includeactive="false") == ["Gone"]
    assert names(http, activeinactive="true,true") == ["Gone", "Here"]
    assert http.get(f"/api/Users/{gone['id']}").json()["inactive"] is True
    back = http.post("/api/Users", json=[{"id": gone["id"], "inactive": False}])
    assert (back.status_code, back.json()["inactive"]) == (200, False)


def test_search_looks_at_names_mails_and_work_but_not_at_the_directory_id(http):
    user(http, name="Ann", emailaddress="ann@example.com", department="Finance", login="ann.x", azureoid="6b1f0a2e-5a3c")
    user(http, name="Bob", email2="bob@example.org", title="Plumber")
    for wanted in ("ANN", "example.com", "finan", "ann.x"):
        assert names(http, search=wanted) == ["Ann"]
    assert names(http, search="plumb") == names(http, search="example.org") == ["Bob"]
    assert names(http, search="6b1f0a2e") == []
    assert names(http, integration_type="azure") == ["Ann"]
    assert http.get("/api/Users", params={"search": "ann@"}).json()["users"][0]["azureoid"] == "6b1f0a2e-5a3c"


def test_advanced_search_by_directory_id_hangs_on_the_tenants_white_list(http):
    user(http, name="Ann", azureoid="OID-1")
    user(http, name="Bob", azureoid="OID-10")
    query = json.dumps([{"filter_name": "azureoid", "filter_type": 2, "filter_value": "oid-1"}])
    assert names(http, advanced_search=query) == ["Ann"]
    assert names(http, advanced_search=query.replace("2", "4")) == ["Ann", "Bob"]
    http.put("/_switches", json={"azureoid_searchable": False})
    refused = http.get("/api/Users", params={"advanced_search": query})
    assert refused.status_code == 400
    assert "Invalid advanced search parameter" in refused.json()["Message"]


def test_users_are_paged_and_counted(http):
    http.post("/api/Users", json=[{"name": f"u{n:03}", "site_id": 18} for n in range(130)])
    page = http.get("/api/Users", params={"pageinate": "true", "page_size": 50, "page_no": 3, "exclude_generaluser": "true"}).json()
    assert (page["record_count"], len(page["users"])) == (130, 30)
    assert len(names(http, count=10)) == 10


def test_user_roles_have_integer_ids_and_make_approvers(http):
    approver = next(row for row in http.get("/api/UserRoles").json() if row["name"] == "Approver")
    assert isinstance(approver["id"], int)
    ann = user(http, name="Ann", roles=[{"id": approver["id"]}]).json()
    assert ann["roles"] == [{"id": approver["id"], "name": "Approver"}]
    user(http, name="Bob", ischangeapprover2=True)
    user(http, name="Cec")
    assert names(http, approvers_only="true") == ["Ann", "Bob"]
    assert user(http, roles=[{"id": 555}]).status_code == 400


def test_changes_of_users_are_logged(http):
    ann = user(http, name="Ann").json()
    http.post("/api/Users", json=[{"id": ann["id"], "inactive": True, "department": "Finance"}])
    rows = http.get("/api/UserChange").json()["changes"]
    assert {(row["field_name"], row["old_value"], row["new_value"]) for row in rows} >= {
        ("inactive", "False", "True"),
        ("department", "", "Finance"),
    }
    assert {row["who"] for row in rows} == {"Local"}


def test_a_deleted_user_comes_back_in_the_answer_and_is_gone(http):
    ann = user(http, name="Ann").json()
    assert http.delete(f"/api/Users/{ann['id']}").json()["name"] == "Ann"
    assert http.get(f"/api/Users/{ann['id']}").status_code == 404
    assert http.post("/api/Users", json=[{"id": ann["id"], "name": "x"}]).status_code == 404


@pytest.mark.parametrize("way", ["switch", "fault"])
def test_an_ignored_write_answers_200_with_the_old_object(http, way):
    ann, sam = user(http, name="Ann").json(), agent(http).json()
    if way == "switch":
        http.put("/_switches", json={"write_ignored": True})
    else:
        http.put("/_faults", json=[{"match": {"method": "POST"}, "fault": "write_ignored", "times": 2}])
    ignored = http.post("/api/Users", json=[{"id": ann["id"], "inactive": True}])
    assert (ignored.status_code, ignored.json()["inactive"]) == (200, False)
    assert http.post("/api/Agent", json=[{"id": sam["id"], "isdisabled": True}]).json()["isdisabled"] is False
    assert http.get(f"/api/Users/{ann['id']}").json()["inactive"] is False
    assert user(http, name="New").status_code == 201, "creating still works"


# Agents


def test_an_agents_detail_always_has_isdisabled_and_roles(http):
    sam = agent(http)
    assert sam.status_code == 201
    got = http.get(f"/api/Agent/{sam.json()['id']}").json()
    assert (got["isdisabled"], got["roles"], got["name"], got["email"]) == (False, [], "Sam Support", "sam@example.com")
    assert agent(http, name="").status_code == 400
    assert http.post("/api/Agent", json=[{"email": "x@example.com"}]).status_code == 400
    assert http.get("/api/Agent/555").status_code == 404


def test_roles_are_guid_objects_and_the_sent_list_replaces_the_stored_one(http):
    known = roles(http)
    assert {"Service Desk", "Change Manager", "Administrator", "Agent"} <= known.keys()
    first, second = known["Service Desk"], known["Change Manager"]
    sam = agent(http, roles=[{"id": first["id"]}, {"id": first["id"].upper()}]).json()
    assert sam["roles"] == [{"id": first["id"], "id_int": first["id_int"], "name": "Service Desk"}]
    http.post("/api/Agent", json=[{"id": sam["id"], "jobtitle": "x"}])
    assert held(http, sam["id"]) == ["Service Desk"]
    http.post("/api/Agent", json=[{"id": sam["id"], "roles": [{"id": second["id"], "name": "a display name"}]}])
    assert held(http, sam["id"]) == ["Change Manager"]
    http.post("/api/Agent", json=[{"id": sam["id"], "add_roles": [{"id": first["id"]}]}])
    assert held(http, sam["id"]) == ["Change Manager", "Service Desk"]
    assert [row["name"] for row in http.get("/api/Roles", params={"agentid": sam["id"]}).json()] == ["Service Desk", "Change Manager"]
    http.post("/api/Agent", json=[{"id": sam["id"], "roles": []}])
    assert held(http, sam["id"]) == []


def test_an_unknown_role_is_refused_and_changes_nothing(http):
    sam = agent(http, roles=[{"id": roles(http)["Agent"]["id"]}]).json()
    for wrong in ({"id": "00000000-0000-0000-0000-000000000000"}, {"id": "x"}, {"name": "Agent"}, {}):
        assert http.post("/api/Agent", json=[{"id": sam["id"], "roles": [wrong], "isdisabled": True}]).status_code == 400
    got = http.get(f"/api/Agent/{sam['id']}").json()
    assert (got["isdisabled"], [role["name"] for role in got["roles"]]) == (False, ["Agent"])


@pytest.mark.parametrize(("mode", "left"), [("replace", []), ("add", ["Agent"]), ("ignore", ["Agent"])])
def test_what_roles_does_is_a_switch(http, mode, left):
    sam = agent(http, roles=[{"id": roles(http)["Agent"]["id"]}]).json()
    http.put("/_switches", json={"roles_mode": mode})
    assert http.post("/api/Agent", json=[{"id": sam["id"], "roles": []}]).status_code == 200
    assert held(http, sam["id"]) == left


def test_a_role_change_can_be_ignored_with_a_200(http):
    sam = agent(http, roles=[{"id": roles(http)["Agent"]["id"]}]).json()
    http.put("/_faults", json=[{"match": {"method": "POST", "path": "/api/Agent"}, "fault": "role_change_ignored"}])
    ignored = http.post("/api/Agent", json=[{"id": sam["id"], "roles": [], "isdisabled": True}])
    assert (ignored.status_code, ignored.json()["isdisabled"]) == (200, True)
    assert held(http, sam["id"]) == ["Agent"]
    http.post("/api/Agent", json=[{"id": sam["id"], "roles": []}])
    assert held(http, sam["id"]) == []


def test_agent_lists_hide_disabled_ones_and_the_products_own(http):
    sam = agent(http, roles=[{"id": roles(http)["Agent"]["id"]}]).json()
    agent(http, name="Gone", email="gone@example.com", isdisabled=True)

    def listed(**query):
        return [row["name"] for row in http.get("/api/Agent", params=query).json()["results"]]

    assert listed() == ["Sam Support"]
    assert listed(includedisabled="true") == ["Sam Support", "Gone"]
    assert listed(includedisabled="true", search="GONE@") == ["Gone"]
    assert listed(includeapiagents="true") == ["Joinery", "Local", "Sam Support"]
    assert listed(includeunassigned="true") == ["Unassigned", "Sam Support"]
    assert listed(role=roles(http)["Agent"]["id_int"]) == ["Sam Support"]
    row = http.get("/api/Agent").json()["results"][0]
    assert row["isdisabled"] is False
    assert "roles" not in row
    assert http.get("/api/Agent", params={"includeroles": "true"}).json()["results"][0]["roles"] == sam["roles"]


def test_the_envelope_of_the_agent_list_is_a_switch(http):
    agent(http)
    assert http.get("/api/Agent").json()["record_count"] == 1
    http.put("/_switches", json={"agent_envelope": "bare"})
    assert [row["name"] for row in http.get("/api/Agent").json()] == ["Sam Support"]


def test_the_licence_ceiling_is_off_unless_switched_on(http):
    for number in range(3):
        assert agent(http, name=f"a{number}").status_code == 201
    http.put("/_switches", json={"agent_licences": 3})
    assert agent(http, name="too many").status_code == 400
    spare = agent(http, name="spare", isdisabled=True).json()
    assert http.post("/api/Agent", json=[{"id": spare["id"], "isdisabled": False}]).status_code == 400


def test_a_default_team_is_given_by_name_and_teams_by_id(http):
    teams = {row["name"]: row["id"] for row in http.get("/api/Team").json()}
    assert {"Service Desk", "Identity", "Endpoint", "Procurement", "IAM", "App owners", "Security", "HR"} <= teams.keys()
    sam = agent(http, team="Identity", teams=[{"team_id": teams["HR"], "is_manager": True}]).json()
    assert [(link["team_name"], link["is_manager"]) for link in sam["teams"]] == [("HR", True), ("Identity", False)]
    assert [row["name"] for row in http.get("/api/Agent", params={"team_id": teams["HR"]}).json()["results"]] == ["Sam Support"]
    assert agent(http, teams=[{"team_id": 555}]).status_code == 400


def test_a_deleted_agent_comes_back_in_the_answer_and_is_gone(http):
    sam = agent(http).json()
    assert http.delete(f"/api/Agent/{sam['id']}").json()["name"] == "Sam Support"
    assert http.get(f"/api/Agent/{sam['id']}").status_code == 404
    assert http.delete("/api/Agent/1").status_code == 400


def test_agent_changes_are_in_the_audit(http):
    sam = agent(http).json()
    http.post("/api/Agent", json=[{"id": sam["id"], "isdisabled": True}])
    row = http.get("/api/Audit").json()["audit"][0]
    assert (row["table_name"], row["id1"], row["value"], row["to"]) == ("uname", sam["id"], "isdisabled", "True")


# Reference data


def test_an_empty_tenant_has_what_a_policy_needs(http):
    assert [row["name"] for row in http.get("/api/Client").json()["clients"]] == ["Contoso"]
    sites = http.get("/api/Site", params={"client_id": 12}).json()["sites"]
    assert [row["name"] for row in sites] == ["Head Office", "Harbour", "North"]
    assert isinstance(sites[0]["client_id"], float)
    statuses = {row["id"]: row["name"] for row in http.get("/api/Status").json()}
    wanted = {
        1: "New",
        2: "In Progress",
        9: "Closed",
        10: "With CAB",
        17: "Awaiting Approval",
        18: "Approved",
        19: "Rejected",
        20: "Complete",
    }
    assert wanted.items() <= statuses.items()
    types = {row["name"] for row in http.get("/api/TicketType", params={"showall": "true"}).json()}
    assert {"Incident", "Service Request", "Onboarding", "Offboarding", "Change Request"} <= types
    assert {row["priorityid"]: row["name"] for row in http.get("/api/Priority").json()}[3] == "Medium"
    assert {row["id"]: row["outcome"] for row in http.get("/api/Outcome").json()}[7] == "Internal Note"
    assert {"3", "76"} <= {row["value2"] for row in http.get("/api/Lookup", params={"lookupid": 64}).json()}
    assert http.get("/api/ApprovalProcess").json()[0]["steps"]
    assert http.get("/api/Status/9").json()["name"] == "Closed"


def test_reference_rows_can_be_added_merged_and_taken_away(http):
    made = http.post("/api/Roles", json=[{"name": "Auditor"}])
    assert made.status_code == 201
    role = made.json()
    assert http.get(f"/api/Roles/{role['id'].upper()}").json() == role
    assert http.get(f"/api/Roles/{role['id_int']}").json() == role
    sam = agent(http, roles=[{"id": role["id"]}]).json()
    http.delete(f"/api/Roles/{role['id']}")
    assert held(http, sam["id"]) == []
    status = http.post("/api/Status", json=[{"name": "Parked"}]).json()
    assert http.post("/api/Status", json=[{"id": status["id"], "colour": "#fff"}]).json()["name"] == "Parked"
    assert http.post("/api/FieldInfo", json=[{"name": "joineryKey"}]).status_code == 400, "field names are unique"
    assert http.post("/api/FieldInfo", json=[{"name": "other", "searchable": True}]).json()["name"] == "CFother"
    for wrong in ({}, {"name": ""}, {"name": 5}):
        assert http.post("/api/Team", json=[wrong]).status_code == 400
    assert http.post("/api/Team", json=[{"id": 555, "name": "x"}]).status_code == 404
    assert http.post("/api/Site", json=[{"name": "Nowhere", "client_id": 555}]).status_code == 400
    assert http.post("/api/CAB", json=[{"name": "Board", "members": [1]}]).status_code == 400
