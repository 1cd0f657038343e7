"""Every call that our adapter makes to Graph, and every reply and notification of the pretend Graph, fits the published service schema."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from graph_schema import PLACE, Call, Recorder, Schema

from adapters.graph.app_review import GraphAppReview
from adapters.graph.client import GraphClient
from adapters.graph.directory import GraphDirectory
from adapters.graph.subscriptions import GraphSubscriptions
from adapters.graph.token import ClientCredentials
from adapters.graph.wire import MANAGER_FIELDS, PERSON_FIELDS
from adapters.system import SystemClock
from joinery.domain.person import Absence, Person
from joinery.serving import serve
from simulators.graph import create_graph
from simulators.graph.schema import PROPERTIES, RELATIONS, TYPES

BASE = "http://graph.local"
#: Our stand-in's word for a property's type -> the published ones.
KINDS = {
    "text": ("Edm.String", "Edm.Guid", "graph.groupAccessType"),
    "flag": ("Edm.Boolean",),
    "moment": ("Edm.DateTimeOffset",),
    "list": ("Collection(",),
    "object": ("graph.",),
    "number": ("Edm.Int",),
}


@pytest.fixture(scope="module")
def schema() -> Schema:
    if not PLACE.exists():
        pytest.skip("Graph's published schema is not beside this checkout")
    return Schema()


class World:
    """The pretend Graph with a recorder before it, our adapter behind the recorder, and a hand that does not pass it."""

    def __init__(self, **switches: Any) -> None:
        self.graph = create_graph(None, **({"notify": False, "page_size": 2} | switches))
        self.recorder = Recorder(self.graph.wsgi)
        seen = httpx.WSGITransport(app=self.recorder)
        clock = SystemClock()
        tokens = ClientCredentials(
            authority=BASE, tenant="local", client_id="local", client_secret="local", scope=f"{BASE}/.default", transport=seen, clock=clock
        )
        self.directory = GraphDirectory(GraphClient(f"{BASE}/v1.0", tokens, transport=seen, clock=clock), clock=clock)
        headers = {"Authorization": f"Bearer {tokens.token()}"}
        self.hand = httpx.Client(base_url=f"{BASE}/v1.0", transport=httpx.WSGITransport(app=self.graph.wsgi), headers=headers)

    def do(self, method: str, path: str, body: object = None) -> Any:
        answer = self.hand.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else {}

    def person(self, name: str) -> str:
        more = {"jobTitle": "Analyst", "employeeId": "1", "employeeHireDate": "2026-12-01T00:00:00Z"}
        body = {"accountEnabled": True, "displayName": name, "userPrincipalName": f"{name}@x.example", "mail": f"{name}@x.example", **more}
        return str(self.do("POST", "/users", body)["id"])

    def member(self, group: str, person: str) -> None:
        self.do("POST", f"/groups/{group}/members/$ref", {"@odata.id": f"{BASE}/v1.0/directoryObjects/{person}"})

    def sweep(self, ask: Any, link: str | None = None) -> str:
        while True:
            page = ask(link)
            if page.delta_link:
                return str(page.delta_link)
            link = page.next_link


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.graph.close()


def test_every_read_and_write_of_the_directory_and_its_reply_are_as_published(world: World, schema: Schema) -> None:
    ann, bob, eve, gone = (world.person(name) for name in ("ann", "bob", "eve", "gone"))
    group, inner, lost = (str(world.do("POST", "/groups", {"displayName": name})["id"]) for name in ("Role", "Inner", "Lost"))
    world.do("PUT", f"/users/{ann}/manager/$ref", {"@odata.id": f"{BASE}/v1.0/users/{bob}"})
    for person in (ann, bob, eve, inner):
        world.member(group, person)
    directory = world.directory
    people = world.sweep(directory.people_delta)
    groups = world.sweep(lambda link: directory.groups_delta([group, lost], link))
    world.do("PATCH", f"/users/{ann}", {"department": "Finance"})
    world.do("DELETE", f"/groups/{group}/members/{eve}/$ref")
    world.do("DELETE", f"/groups/{lost}")
    for person in (eve, gone):
        world.do("DELETE", f"/users/{person}")
    world.do("DELETE", f"/directory/deletedItems/{gone}")

    assert [type(directory.look(person, [group])) for person in (ann, eve, gone)] == [Person, Absence, Absence]
    world.sweep(directory.people_delta, people)
    world.sweep(lambda link: directory.groups_delta([group, lost], link), groups)
    assert [one.id for one in directory.resolve_groups(["Role", "None such"])] == [group]
    assert directory.by_address("ann@x.example") is not None
    assert [one.id for one in directory.reports_of(bob)] == [ann]
    assert directory.people_in(group) == {ann, bob}
    assert directory.groups_within([group]) == {group: {inner}}
    assert directory.people_among([ann, inner]) == ({ann}, {inner})
    directory.group_traits(group)
    assert [one.id for one in directory.groups_of(bob)] == [group]
    directory.revoke_sessions(bob)
    assert directory.sessions_valid_from(bob) is not None
    directory.remove_member(group, bob)

    calls = world.recorder.calls
    assert [what for call in calls for what in schema.wrong(call)] == []
    assert {call.route for call in calls} == {
        "GET /users/{id}",
        "POST /users/{id}/checkMemberGroups",
        "GET /directory/deletedItems/{id}",
        "GET /users/delta",
        "GET /groups/delta",
        "GET /groups",
        "GET /users",
        "GET /users/{id}/directReports",
        "GET /users/{id}/memberOf/microsoft.graph.group",
        "POST /users/{id}/revokeSignInSessions",
        "GET /groups/{id}/transitiveMembers/microsoft.graph.user",
        "GET /groups/{id}/transitiveMembers/microsoft.graph.group",
        "POST /directoryObjects/getByIds",
        "GET /groups/{id}",
        "DELETE /groups/{id}/members/{id}/$ref",
    }, "the adapter makes another call: let it be made above too"


def test_every_look_at_our_own_application_and_its_reply_are_as_published(world: World, schema: Schema) -> None:
    world.graph.switches.change({"app_roles": ["Application.Read.All"]})
    seen, person = httpx.WSGITransport(app=world.recorder), world.person("ann")
    credentials = {"client_id": "local", "client_secret": "local", "scope": f"{BASE}/.default"}
    tokens = ClientCredentials(authority=BASE, tenant="local", transport=seen, **credentials)
    review = GraphAppReview(client=GraphClient(f"{BASE}/v1.0", tokens, transport=seen), tokens=tokens, client_id="local")
    review.read_people()
    review.read_groups()
    assert review.granted() == {"Application.Read.All"} and review.secret_ends("local") is not None and person
    assert review.subscriptions("https://joinery.test/api/notifications") == {}
    assert [what for call in world.recorder.calls for what in schema.wrong(call)] == []
    calls = {call.route for call in world.recorder.calls}
    assert calls == {"GET /users", "GET /groups", "GET /applications(appId='local')", "GET /subscriptions"}


@pytest.mark.servers
def test_every_call_about_subscriptions_and_its_reply_are_as_published(schema: Schema) -> None:
    graph = create_graph(None, notify=False)
    recorder = Recorder(graph.wsgi)
    server, hook = serve(recorder), serve(_handshake)
    url = server.url
    tokens = ClientCredentials(authority=url, tenant="local", client_id="local", client_secret="local", scope=f"{url}/.default")
    subscriptions = GraphSubscriptions(f"{url}/v1.0", tokens, clock=SystemClock())
    try:
        for state in ("first", "second"):
            subscriptions.ensure(
                notification_url=f"{hook.url}/n", lifecycle_url=f"{hook.url}/l", client_state=state, changed=state == "second"
            )
        graph.clock.advance(timedelta(days=25))
        subscriptions.ensure(notification_url=f"{hook.url}/n", lifecycle_url=f"{hook.url}/l", client_state="second", changed=False)
    finally:
        server.close()
        hook.close()
        tokens.close()
        graph.close()
    assert [what for call in recorder.calls for what in schema.wrong(call)] == []
    assert {"GET /subscriptions", "POST /subscriptions"} <= {call.route for call in recorder.calls}


@pytest.mark.servers
def test_every_notification_is_as_published(schema: Schema) -> None:
    posted: queue.Queue[dict[str, Any]] = queue.Queue()
    hook = serve(lambda environ, start: _handshake(environ, start, posted))
    world = World(notify=True)
    world.graph.start()
    told: list[dict[str, Any]] = []
    try:
        for resource in ("/users", "/groups"):
            row = {"changeType": "updated,deleted", "resource": resource, "notificationUrl": f"{hook.url}/n", "clientState": "s"}
            until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
            world.do("POST", "/subscriptions", row | {"lifecycleNotificationUrl": f"{hook.url}/l", "expirationDateTime": until})
        person = world.person("ann")
        group = str(world.do("POST", "/groups", {"displayName": "Role"})["id"])
        world.member(group, person)
        for place in ("users", "directory/deletedItems"):
            world.do("DELETE", f"/{place}/{person}")
        assert world.hand.post(f"{BASE}/_lifecycle", json={"event": "missed"}).is_success
        while {"updated", "deleted", "missed"} - {one.get("changeType") or one["lifecycleEvent"] for body in told for one in body["value"]}:
            told.append(posted.get(timeout=20))
    finally:
        world.graph.close()
        hook.close()
    assert [what for body in told for what in schema.wrong_object("changeNotificationCollection", body)] == []


def test_everything_that_the_pretend_graph_knows_is_published(schema: Schema) -> None:
    for kind, properties in PROPERTIES.items():
        name = TYPES[kind].rpartition(".")[2]
        if name == "device":
            continue  # the published schema is an excerpt, without devices
        published = schema.properties(name)
        wrong = {name: published.get(name) for name, word in properties.items() if not (published.get(name) or "").startswith(KINDS[word])}
        assert wrong == {}, kind
        assert set(RELATIONS[kind]) <= set(schema.types[name]["navigation"])


def test_everything_that_we_ask_of_a_person_is_published(schema: Schema) -> None:
    assert {*PERSON_FIELDS, *MANAGER_FIELDS} <= set(schema.properties("user"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query": {"$select": "id,jobtitle"}}, "$select names jobtitle"),
        ({"query": {"$selct": "id"}}, "no such option: $selct"),
        ({"query": {"$filter": "mial eq 'a ne b'"}}, "$filter names mial"),
        ({"query": {"$expand": "boss($select=id)"}}, "$expand names boss"),
        ({"reply": {"id": "1", "jobTitle": 5}}, "reply: user.jobTitle is 5, not Edm.String"),
        ({"reply": {"id": "1", "job": "x"}}, "reply: user has no job"),
        ({"query": {"$select": "mail"}, "reply": {"id": "1", "jobTitle": "x"}}, "reply: user.jobTitle was not asked for"),
        ({"method": "PATCH", "body": {"acountEnabled": False}}, "user has no acountEnabled"),
    ],
)
def test_what_is_not_as_published_is_found(schema: Schema, change: dict[str, Any], said: str) -> None:
    call = {"method": "GET", "path": "/users/ann", "query": {}, "body": None, "status": 200, "reply": {"id": "1"}} | change
    assert [what.partition(": ")[2] for what in schema.wrong(Call(**call))] == [said]


def _handshake(environ: dict[str, Any], start_response: Any, posted: queue.Queue[dict[str, Any]] | None = None) -> list[bytes]:
    """A webhook that answers the validation request and takes what is posted."""
    token = dict(httpx.QueryParams(environ["QUERY_STRING"])).get("validationToken")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if token is None and posted is not None:
        posted.put(json.loads(body))
    answer = (token or "").encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
