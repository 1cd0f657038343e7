"""What the directory makes of Graph's answers, the odd ones above all: a failed read is never evidence about a person."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from adapters.graph.client import GraphClient
from adapters.graph.directory import GraphDirectory
from joinery.domain.groups import WatchedGroup
from joinery.domain.person import Absence, Manager, Person
from joinery.engine.memory import FakeClock
from joinery.engine.ports import LinkExpired
from joinery.errors import Refused, TryLater

ANN = "11111111-1111-4111-8111-111111111111"
BOB = "22222222-2222-4222-8222-222222222222"
STAFF = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
ADMINS = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
NOT_FOUND = {"error": {"code": "Request_ResourceNotFound", "message": "Resource does not exist."}}
USER = {"id": ANN, "userPrincipalName": "ann@x.example", "accountEnabled": True}

Item = dict[str, Any]


class Tokens:
    """One token, renewed on demand."""

    renewals = 0

    def token(self) -> str:
        return "t"

    def refresh(self, rejected: str | None = None) -> str:
        self.renewals += 1
        return "t"


class Graph:
    """Answers items of a batch by ``item`` and other calls by ``plain``."""

    def __init__(self, item: Callable[[Item], Item] | None = None, plain: Callable[[httpx.Request], httpx.Response] | None = None) -> None:
        self.item = item or (lambda _: {"status": 500, "body": None})
        self.plain = plain or (lambda _: httpx.Response(404, json=NOT_FOUND))
        self.calls: list[httpx.Request] = []
        self.items: list[list[Item]] = []
        self.tokens = Tokens()
        clock = FakeClock()

        def pause(seconds: float) -> None:
            clock.advance(seconds=seconds)

        client = GraphClient(
            "https://graph.example/v1.0",
            self.tokens,
            transport=httpx.MockTransport(self._answer),
            clock=clock,
            sleep=pause,
        )
        self.directory = GraphDirectory(client, clock=clock)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        if request.url.path != "/v1.0/$batch":
            return self.plain(request)
        items = json.loads(request.content)["requests"]
        self.items.append(items)
        answers = [{"id": item["id"].upper(), **self.item(item)} for item in items]
        return httpx.Response(200, json={"responses": answers[::-1]})


def looks(user: Item, *groups: Item) -> Graph:
    """A Graph whose batch has these answers for the user and for each check of groups."""
    answers = {"user": user, **{f"groups-{number}": group for number, group in enumerate(groups)}}
    return Graph(lambda item: answers[item["id"]])


def ok(body: Any) -> Item:
    return {"status": 200, "headers": {"Content-Type": "application/json"}, "body": body}


# --- look ---


def test_a_look_is_one_call_that_asks_for_person_manager_and_groups() -> None:
    manager = {"id": BOB, "displayName": "Bob O'Neil", "mail": None, "userPrincipalName": "bob@x.example"}
    user = {
        **USER,
        "displayName": "Ann",
        "mail": None,
        "department": "IT",
        "employeeHireDate": "2026-02-01T00:00:00Z",
        "createdDateTime": "2026-01-05T07:00:00.1234567Z",
        "userType": "Member",
        "manager": manager,
        "surprise": {"@odata.type": "#x"},
    }
    graph = looks(ok(user), ok({"value": [STAFF.upper()]}))
    seen = graph.directory.look(ANN, [STAFF, ADMINS])
    assert seen == Person(
        id=ANN,
        user_principal_name="ann@x.example",
        display_name="Ann",
        department="IT",
        user_type="Member",
        hire_date=datetime(2026, 2, 1, tzinfo=UTC),
        created_at=datetime(2026, 1, 5, 7, 0, 0, 123456, tzinfo=UTC),
        manager=Manager(id=BOB, display_name="Bob O'Neil", user_principal_name="bob@x.example"),
        groups=frozenset({STAFF}),
    )
    assert len(graph.calls) == 1
    user_item, groups_item = graph.items[0]
    assert user_item["url"].startswith(f"/users/{ANN}?$select=id,")
    assert "$expand=manager($select=id,displayName,mail,userPrincipalName)" in user_item["url"]
    assert groups_item["method"] == "POST"
    assert groups_item["headers"] == {"Content-Type": "application/json"}
    assert groups_item["body"] == {"groupIds": [STAFF, ADMINS]}


def test_a_look_without_groups_asks_for_the_person_alone() -> None:
    graph = looks(ok(USER))
    assert graph.directory.look(ANN, []) == Person(id=ANN, user_principal_name="ann@x.example")
    assert [item["id"] for item in graph.items[0]] == ["user"]


def test_many_groups_are_checked_in_chunks_of_twenty_inside_the_same_batch() -> None:
    groups = [f"aaaaaaaa-0000-4000-8000-{number:012d}" for number in range(45)]
    graph = Graph(lambda item: ok(USER) if item["id"] == "user" else ok({"value": item["body"]["groupIds"][:1]}))
    seen = graph.directory.look(ANN, groups)
    assert isinstance(seen, Person)
    assert seen.groups == {groups[0], groups[20], groups[40]}
    assert [len(item["body"]["groupIds"]) for item in graph.items[0][1:]] == [20, 20, 5]
    assert len(graph.calls) == 1


def test_more_groups_than_one_batch_can_check_are_refused() -> None:
    groups = [f"aaaaaaaa-0000-4000-8000-{number:012d}" for number in range(381)]
    with pytest.raises(Refused, match="380"):
        looks(ok(USER)).directory.look(ANN, groups)


def test_a_group_nobody_asked_for_is_not_believed() -> None:
    seen = looks(ok(USER), ok({"value": [ADMINS]})).directory.look(ANN, [STAFF])
    assert isinstance(seen, Person)
    assert seen.groups == frozenset()


@pytest.mark.parametrize("enabled", [{"accountEnabled": None}, {}])
def test_silence_about_the_account_is_no_evidence_of_leaving(enabled: Item) -> None:
    seen = looks(ok({"id": ANN, **enabled})).directory.look(ANN, [])
    assert isinstance(seen, Person)
    assert seen.account_enabled


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "soon", "", None, "9999-12-31T23:59:59-12:00"])
def test_a_time_that_is_none_counts_as_none(text: str | None) -> None:
    seen = looks(ok({**USER, "employeeHireDate": text})).directory.look(ANN, [])
    assert isinstance(seen, Person)
    assert seen.hire_date is None


def test_a_person_among_the_deleted_is_softly_absent() -> None:
    graph = looks({"status": 404, "body": NOT_FOUND}, ok({"value": []}))
    graph.plain = lambda _: httpx.Response(
        200, json={"@odata.type": "#microsoft.graph.user", "id": ANN, "deletedDateTime": "2026-01-04T10:00:00Z"}
    )
    assert graph.directory.look(ANN, [STAFF]) == Absence(id=ANN, soft_deleted=True, deleted_at=datetime(2026, 1, 4, 10, tzinfo=UTC))
    assert [call.url.path for call in graph.calls] == ["/v1.0/$batch", f"/v1.0/directory/deletedItems/{ANN}"]


def test_a_person_nowhere_to_be_found_is_absent() -> None:
    graph = looks({"status": 404, "body": NOT_FOUND}, {"status": 404, "body": NOT_FOUND})
    assert graph.directory.look(ANN, [STAFF]) == Absence(id=ANN, soft_deleted=False)


def test_a_deleted_group_with_that_id_is_no_deleted_person() -> None:
    graph = looks({"status": 404, "body": NOT_FOUND})
    graph.plain = lambda _: httpx.Response(200, json={"@odata.type": "#microsoft.graph.group", "id": ANN})
    assert graph.directory.look(ANN, []) == Absence(id=ANN, soft_deleted=False)


def test_a_user_that_carries_a_time_of_deletion_is_softly_absent() -> None:
    seen = looks(ok({**USER, "deletedDateTime": "2026-01-04T10:00:00Z"})).directory.look(ANN, [])
    assert seen == Absence(id=ANN, soft_deleted=True, deleted_at=datetime(2026, 1, 4, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    "plain", [httpx.Response(500), httpx.Response(404, text="<html>"), httpx.Response(200, text="<html>"), httpx.Response(429)]
)
def test_a_404_without_a_word_about_the_deleted_is_no_absence_yet(plain: httpx.Response) -> None:
    graph = looks({"status": 404, "body": NOT_FOUND})
    graph.plain = lambda _: plain
    with pytest.raises(TryLater):
        graph.directory.look(ANN, [])


@pytest.mark.parametrize(
    "user",
    [
        {"status": 404, "body": "PGh0bWw+"},
        {"status": 404, "body": None},
        {"status": 404},
        {"status": 404, "body": {"error": {"code": "UnknownError", "message": ""}}},
        {"status": 500, "body": None},
        {"status": 503, "body": NOT_FOUND},
        {"status": 424, "body": None},
        ok(None),
        ok("PGh0bWw+"),
        ok({}),
        ok([]),
        ok({"id": BOB}),
        ok({"id": ANN, "accountEnabled": "no"}),
        ok({"id": ANN, "manager": []}),
        {"status": 204},
    ],
)
def test_a_person_who_cannot_be_read_is_for_later(user: Item) -> None:
    with pytest.raises(TryLater):
        looks(user, ok({"value": [STAFF]})).directory.look(ANN, [STAFF])


@pytest.mark.parametrize(
    "groups",
    [
        {"status": 429, "body": None},
        {"status": 500, "body": None},
        {"status": 404, "body": NOT_FOUND},
        {"status": 424, "body": None},
        ok({}),
        ok(None),
        ok({"value": None}),
        ok({"value": [3]}),
    ],
)
def test_groups_that_cannot_be_checked_are_never_groups_lost(groups: Item) -> None:
    with pytest.raises(TryLater):
        looks(ok(USER), groups).directory.look(ANN, [STAFF])


@pytest.mark.parametrize("part", ["user", "groups-0"])
def test_a_throttled_item_hands_on_its_own_pause(part: str) -> None:
    busy = {"status": 429, "headers": {"retry-after": 17}, "body": {"error": {"code": "TooManyRequests"}}}
    graph = Graph(lambda item: busy if item["id"] == part else ok(USER if item["id"] == "user" else {"value": []}))
    with pytest.raises(TryLater) as caught:
        graph.directory.look(ANN, [STAFF])
    assert caught.value.after == timedelta(seconds=17)
    assert len(graph.calls) == 1


def test_a_missing_permission_inside_the_batch_is_refused() -> None:
    denied = {"status": 403, "body": {"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges"}}}
    with pytest.raises(Refused, match="Insufficient privileges"):
        looks(ok(USER), denied).directory.look(ANN, [STAFF])


def test_a_401_inside_the_batch_renews_the_token_once() -> None:
    answers = iter([{"status": 401, "body": None}, ok(USER)])
    graph = Graph(lambda _: next(answers))
    assert isinstance(graph.directory.look(ANN, []), Person)
    assert graph.tokens.renewals == 1
    graph = looks({"status": 401, "body": None})
    with pytest.raises(Refused):
        graph.directory.look(ANN, [])
    assert len(graph.calls) == 2


def test_an_item_left_unanswered_is_for_later() -> None:
    graph = Graph()
    graph._answer = lambda request: httpx.Response(200, json={"responses": [{"id": "user", **ok(USER)}]})  # type: ignore[method-assign]
    client = GraphClient("https://graph.example/v1.0", Tokens(), transport=httpx.MockTransport(lambda r: graph._answer(r)))
    with pytest.raises(TryLater, match="1 of 2"):
        GraphDirectory(client).look(ANN, [STAFF])


@pytest.mark.parametrize("id_", ["", "me", "../groups", f"{ANN}/manager", f"{ANN}?$select=x", ANN + "\n", "ann@x.example", "１" * 36])
def test_no_text_but_a_guid_becomes_part_of_an_address(id_: str) -> None:
    graph = Graph()
    with pytest.raises(Refused):
        graph.directory.look(id_, [])
    with pytest.raises(Refused):
        graph.directory.look(ANN, [id_])
    with pytest.raises(Refused):
        graph.directory.people_in(id_)
    assert graph.calls == []


# --- groups ---


def test_groups_are_found_by_their_exact_name() -> None:
    names = {"O'Brien's & Co/100%+#?": [(STAFF, "O'Brien's & Co/100%+#?"), (ADMINS, "o'brien's & co/100%+#?")], "Gone": []}

    def item(asked: Item) -> Item:
        condition = unquote(asked["url"].partition("$filter=")[2].partition("&$select")[0])
        name = condition.removeprefix("displayName eq '").removesuffix("'").replace("''", "'")
        return ok({"value": [{"id": id_, "displayName": found} for id_, found in names[name]]})

    graph = Graph(item)
    assert graph.directory.resolve_groups(names) == (WatchedGroup(name="O'Brien's & Co/100%+#?", id=STAFF),)
    assert len(graph.calls) == 1


def test_two_groups_of_one_name_are_both_told() -> None:
    graph = Graph(lambda _: ok({"value": [{"id": STAFF, "displayName": "Staff"}, {"id": ADMINS, "displayName": "Staff"}]}))
    assert {group.id for group in graph.directory.resolve_groups(["Staff"])} == {STAFF, ADMINS}


def test_many_names_take_several_batches() -> None:
    graph = Graph(lambda _: ok({"value": []}))
    assert graph.directory.resolve_groups([f"g{number}" for number in range(41)]) == ()
    assert [len(items) for items in graph.items] == [20, 20, 1]


def test_a_group_that_cannot_be_searched_is_not_a_missing_group() -> None:
    with pytest.raises(TryLater):
        Graph(lambda _: {"status": 503, "body": None}).directory.resolve_groups(["Staff"])


def test_everyone_in_a_group_is_read_over_all_pages_empty_ones_too() -> None:
    pages = {
        "": {"value": [{"id": ANN}], "@odata.nextLink": f"https://graph.example/v1.0/groups/{STAFF}/x?$skiptoken=1"},
        "$skiptoken=1": {"value": [], "@odata.nextLink": f"https://graph.example/v1.0/groups/{STAFF}/x?$skiptoken=2"},
        "$skiptoken=2": {"value": [{"id": BOB.upper()}]},
    }

    def plain(request: httpx.Request) -> httpx.Response:
        query = request.url.query.decode()
        return httpx.Response(200, json=pages[query if "skiptoken" in query else ""])

    graph = Graph(plain=plain)
    assert graph.directory.people_in(STAFF) == {ANN, BOB}
    assert graph.calls[0].url.path == f"/v1.0/groups/{STAFF}/transitiveMembers/microsoft.graph.user"
    assert all(call.headers["x-ms-throttle-priority"] == "low" for call in graph.calls)


def test_nobody_is_in_a_group_that_is_gone_but_a_list_that_vanishes_halfway_is_for_later() -> None:
    assert Graph().directory.people_in(STAFF) == frozenset()
    page = {"value": [{"id": ANN}], "@odata.nextLink": "https://graph.example/v1.0/groups/x?$skiptoken=1"}
    graph = Graph(
        plain=lambda request: httpx.Response(404, json=NOT_FOUND) if b"skiptoken" in request.url.query else httpx.Response(200, json=page)
    )
    with pytest.raises(TryLater):
        graph.directory.people_in(STAFF)


def test_a_list_whose_pages_never_end_is_given_up() -> None:
    page = {"value": [], "@odata.nextLink": "https://graph.example/v1.0/groups/x?$skiptoken=1"}
    with pytest.raises(TryLater, match="pages"):
        Graph(plain=lambda _: httpx.Response(200, json=page)).directory.people_in(STAFF)


def test_a_foreign_next_link_is_refused_and_never_called() -> None:
    page = {"value": [{"id": ANN}], "@odata.nextLink": "https://evil.example/v1.0/users?$skiptoken=1"}
    graph = Graph(plain=lambda _: httpx.Response(200, json=page))
    for ask in (lambda: graph.directory.people_in(STAFF), lambda: graph.directory.people_delta(None)):
        with pytest.raises(Refused, match=r"evil\.example"):
            ask()
    assert {call.url.host for call in graph.calls} == {"graph.example"}


def test_ids_are_sorted_into_people_and_groups_and_the_rest_is_dropped() -> None:
    def plain(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        assert asked["types"] == ["user", "group"]
        types = {ANN: "#microsoft.graph.user", STAFF: "#Microsoft.Graph.Group", ADMINS: "#microsoft.graph.device"}
        return httpx.Response(200, json={"value": [{"id": id_, "@odata.type": types[id_]} for id_ in asked["ids"] if id_ in types]})

    graph = Graph(plain=plain)
    assert graph.directory.people_among([ANN, STAFF, ADMINS, BOB, "no id"]) == (frozenset({ANN}), frozenset({STAFF}))
    assert graph.directory.people_among(["no id"]) == (frozenset(), frozenset())
    assert len(graph.calls) == 1
    graph.directory.people_among([f"{number:08d}-0000-4000-8000-000000000000" for number in range(1001)])
    assert [len(json.loads(call.content)["ids"]) for call in graph.calls[1:]] == [1000, 1]


# --- delta ---


def page(value: list[Any], *, next_link: str = "", delta_link: str = "") -> Callable[[httpx.Request], httpx.Response]:
    body: Item = {"value": value}
    if next_link:
        body["@odata.nextLink"] = f"https://graph.example/v1.0{next_link}"
    if delta_link:
        body["@odata.deltaLink"] = f"https://graph.example/v1.0{delta_link}"
    return lambda _: httpx.Response(200, json=body)


def test_changed_people_come_as_ids_whatever_happened_to_them() -> None:
    removed = {"id": BOB, "@removed": {"reason": "changed"}}
    graph = Graph(plain=page([{"id": ANN, "jobTitle": None}, removed, {"id": ANN.upper()}], delta_link="/users/delta?$deltatoken=a"))
    changes = graph.directory.people_delta(None)
    assert changes.person_ids == (ANN, BOB)
    assert changes.next_link is None
    assert changes.delta_link is not None and changes.delta_link.partition("#")[0] == "/users/delta?$deltatoken=a"
    first = graph.calls[0]
    assert first.url.params["$select"].endswith("createdDateTime,manager")
    assert first.headers["x-ms-throttle-priority"] == "low"
    assert "prefer" not in first.headers
    graph.directory.people_delta(changes.delta_link)
    assert graph.calls[1].url.raw_path == b"/v1.0/users/delta?$deltatoken=a"
    assert graph.calls[1].headers["prefer"] == "return=minimal"


def test_an_empty_page_with_a_next_link_is_followed() -> None:
    changes = Graph(plain=page([], next_link="/users/delta?$skiptoken=b")).directory.people_delta(None)
    assert (changes.person_ids, changes.delta_link) == ((), None)
    assert changes.next_link is not None and changes.next_link.startswith("/users/delta?$skiptoken=b")


def test_a_page_without_any_link_is_for_later() -> None:
    with pytest.raises(TryLater):
        Graph(plain=page([{"id": ANN}])).directory.people_delta(None)


@pytest.mark.parametrize(("status", "code"), [(410, "resyncRequired"), (400, "syncStateNotFound"), (400, "Request_BadRequest")])
def test_an_old_link_is_expired_but_a_refused_start_is_not(status: int, code: str) -> None:
    graph = Graph(plain=lambda _: httpx.Response(status, json={"error": {"code": code, "message": ""}}))
    with pytest.raises(LinkExpired):
        graph.directory.people_delta("/users/delta?$deltatoken=a")
    with pytest.raises(LinkExpired):
        graph.directory.groups_delta([STAFF], "/groups/delta?$deltatoken=a")
    with pytest.raises((TryLater, Refused)):
        graph.directory.people_delta(None)


def test_a_stored_link_of_graphs_own_may_be_absolute() -> None:
    graph = Graph(plain=page([], delta_link="/users/delta?$deltatoken=b"))
    changes = graph.directory.people_delta("https://graph.example/v1.0/users/delta?$deltatoken=a")
    assert changes.delta_link is not None and changes.delta_link.startswith("/users/delta?$deltatoken=b")
    assert graph.calls[0].url.raw_path == b"/v1.0/users/delta?$deltatoken=a"


def test_a_stored_link_to_another_host_is_refused_and_never_called() -> None:
    graph = Graph()
    for link in ("https://evil.example/v1.0/users/delta?$deltatoken=a", "//evil.example/users"):
        with pytest.raises(Refused):
            graph.directory.people_delta(link)
    assert graph.calls == []


def test_members_are_sorted_by_what_is_known_about_them() -> None:
    device, principal, unknown = (f"{number}2222222-2222-4222-8222-222222222222" for number in "345")
    value = [
        {
            "id": STAFF,
            "members@delta": [
                {"@odata.type": "#microsoft.graph.user", "id": ANN},
                {"@odata.type": "#microsoft.graph.user", "id": BOB, "@removed": {"reason": "deleted"}},
                {"@odata.type": "#microsoft.graph.user", "id": BOB, "@removed": "deleted"},
                {"@odata.type": "#microsoft.graph.device", "id": device},
                {"@odata.type": "#microsoft.graph.servicePrincipal", "id": principal},
            ],
        },
        {"id": ADMINS, "members@delta": [{"id": unknown}]},
    ]
    graph = Graph(plain=page(value, delta_link="/groups/delta?$deltatoken=a"))
    changes = graph.directory.groups_delta([ADMINS, STAFF], None)
    assert changes.person_ids == (ANN, BOB)
    assert changes.group_ids == (ADMINS,)
    assert graph.calls[0].url.params["$select"] == "id,displayName,members"
    assert graph.calls[0].url.params["$filter"] == f"id eq '{STAFF}' or id eq '{ADMINS}'"


@pytest.mark.parametrize(
    "change",
    [
        {"members@delta": [{"@odata.type": "#microsoft.graph.group", "id": BOB}]},
        {"members@delta": [{"@odata.type": "#microsoft.graph.group", "id": BOB, "@removed": {"reason": "deleted"}}]},
        {"@removed": {"reason": "changed"}},
        {"@removed": "deleted"},
        {"displayName": "came back"},
    ],
)
def test_a_change_that_names_no_people_asks_for_a_comparison_of_the_watched_group(change: Item) -> None:
    graph = Graph(plain=page([{"id": STAFF, **change}], delta_link="/groups/delta?$deltatoken=a"))
    changes = graph.directory.groups_delta([STAFF], "/groups/delta?$deltatoken=0")
    assert (changes.person_ids, changes.group_ids) == ((), (STAFF,))


def test_an_empty_group_at_the_start_asks_for_nothing() -> None:
    changes = Graph(plain=page([{"id": STAFF}], delta_link="/groups/delta?$deltatoken=a")).directory.groups_delta([STAFF], None)
    assert (changes.person_ids, changes.group_ids) == ((), ())


def test_one_token_watches_at_most_fifty_groups() -> None:
    graph = Graph()
    with pytest.raises(ValueError, match="50"):
        graph.directory.groups_delta([f"{number:08d}-0000-4000-8000-000000000000" for number in range(51)], None)
    assert graph.directory.groups_delta([], None).delta_link is None
    assert graph.calls == []


@pytest.mark.parametrize("unread", ["groupTypes", "mailEnabled", "assignedLicenses"])
def test_a_group_that_we_may_not_read_is_never_taken_for_one_that_anybody_may_leave(unread: str) -> None:
    whole = {"id": STAFF, "displayName": "Staff", "groupTypes": [], "mailEnabled": False, "assignedLicenses": []}
    [group] = Graph(plain=page([whole])).directory.groups_of(ANN)
    assert group.traits.editable and not group.traits.licensed
    for row in ({**whole, unread: None}, {name: value for name, value in whole.items() if name != unread}):
        with pytest.raises(Refused, match=r"Group\.Read\.All"):
            Graph(plain=page([whole, row])).directory.groups_of(ANN)
