"""The desk's door: who is let in, and what a body may mean."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from joinery.engine.desk_door import BODY_MAX, DeskDoor
from joinery.engine.intake import Unacceptable

SECRET = "0123456789abcdef0123456789abcdef"
DOOR = DeskDoor(secret=SECRET, user="halo", password="pässword")


def basic(user: str = "halo", password: str = "pässword", scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def knock(body: bytes | dict[str, Any] | list[Any], door: DeskDoor = DOOR, secret: str = SECRET, authorization: str | None = None) -> Any:
    """The ids, or the status of the refusal."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        return door.read(raw, secret=secret, authorization=basic() if authorization is None else authorization)
    except Unacceptable as refusal:
        return refusal.status


def test_a_door_that_is_not_set_up_is_not_there() -> None:
    assert knock({"id": 1}, door=DeskDoor(), secret="") == 404
    assert knock({"id": 1}, door=DeskDoor(secret=SECRET)) == 404
    assert knock({"id": 1}, door=DeskDoor(secret=SECRET, user="halo")) == 404


@pytest.mark.parametrize("secret", ["", "x", SECRET[:-1], SECRET.upper(), f"{SECRET} ", "\ud800"])
def test_a_wrong_secret_finds_no_door_whatever_the_credentials(secret: str) -> None:
    assert knock({"id": 1}, secret=secret) == 404


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !!!", basic(password="wrong"), basic(user="other"), basic(scheme="Bearer"), "Basic /w==", basic("halo", "")],
)
def test_wrong_credentials_are_refused(authorization: str) -> None:
    assert knock({"id": 1}, authorization=authorization) == 401


def test_the_scheme_is_read_without_case() -> None:
    assert knock({"id": 1}, authorization=basic(scheme="bAsIc")) == ("1",)


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({"object_id": 4711}, ("4711",)),
        ({"ticket_id": "4711"}, ("4711",)),
        ({"ticket": {"id": 4711, "summary": "text"}}, ("4711",)),
        ({"faultid": 4711, "id": "6c1f"}, ("6c1f", "4711")),
        ([{"object_id": 1}, {"object_id": 2}, {"object_id": 1}], ("1", "2")),
        ([[{"id": 1}], {"ticket": [{"id": 2}, {"id": 3}]}], ("1", "2", "3")),
        ({}, ()),
        ([], ()),
        ({"id": None}, ()),
        ({"id": True, "ticket": 7}, ()),
        ({"id": {"id": 1}}, ()),
        ({"id": 1.5}, ()),
        ({"id": "../../4711"}, ()),
        ({"id": "a" * 65}, ()),
        ({"event": {"object": {"id": 4711}}}, ()),
    ],
)
def test_ids_are_found_where_they_may_stand_and_nothing_else_is_read(body: Any, ids: tuple[str, ...]) -> None:
    assert knock(body) == ids


def test_where_ids_stand_can_be_configured() -> None:
    door = DeskDoor(secret=SECRET, user="halo", password="pässword", members=("event.object.id",))
    assert knock({"event": {"object": {"id": 4711}}, "id": 1}, door=door) == ("4711",)


@pytest.mark.parametrize("body", [b"", b"no json", b"{", b"\xff\xfe", b"[" * 100_000, b'{"id": 1} 2'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert knock(body) == 400


def test_a_body_of_a_plain_value_names_nothing() -> None:
    for body in (b"1", b'"4711"', b"null", b"true"):
        assert knock(body) == ()


def test_too_much_is_refused_before_it_is_read() -> None:
    padding = b'{"text": "' + b"x" * BODY_MAX + b'"}'
    assert knock(padding) == 413
    assert knock(padding[:BODY_MAX]) == 400
    assert knock([{"id": number} for number in range(1001)]) == 413
    assert len(knock([{"id": number} for number in range(1000)])) == 1000


def test_nothing_secret_is_shown() -> None:
    assert SECRET not in repr(DOOR)
    assert "pässword" not in repr(DOOR)


OURS = DeskDoor(secret=SECRET, user="halo", password="pässword", ourselves=frozenset({"Identity Bridge"}))


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({"object_id": 1, "action": {"actionby_application_id": "Identity Bridge"}}, ()),
        ({"object_id": 1, "actionby_application_id": " identity bridge "}, ()),
        ({"object_id": 1, "action": [{"actionby_application_id": "Identity Bridge"}]}, ()),
        ({"object_id": 1, "action": {"actionby_application_id": "Portal"}}, ("1",)),
        ({"object_id": 1, "action": {"actionby_application_id": ""}}, ("1",)),
        ({"object_id": 1, "action": {"actionby_application_id": None}}, ("1",)),
        ({"object_id": 1, "note": "Identity Bridge"}, ("1",)),
        ({"object_id": 1}, ("1",)),
        ([{"object_id": 1, "actionby_application_id": "Identity Bridge"}, {"object_id": 2}], ("2",)),
    ],
)
def test_what_our_own_application_did_is_no_news(body: Any, ids: tuple[str, ...]) -> None:
    """Each thing in a batch for itself; whoever is not named did it, and so did nobody who only stands elsewhere."""
    assert knock(body, door=OURS) == ids


def test_a_door_that_knows_no_name_of_ours_takes_everything_for_news() -> None:
    assert knock({"object_id": 1, "action": {"actionby_application_id": ""}}) == ("1",)
    assert knock({"object_id": 1, "action": {"actionby_application_id": "joinery"}}) == ("1",)


def test_where_the_actor_stands_is_for_the_deployment_to_say() -> None:
    door = DeskDoor(secret=SECRET, user="halo", password="pässword", ourselves=frozenset({"57"}), actors=("by.agent",))
    assert knock([{"id": 1, "by": {"agent": 57}}, {"id": 2, "actionby_application_id": "57"}], door=door) == ("2",)
