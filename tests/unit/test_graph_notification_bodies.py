"""The door: good notifications are read whatever their form, and nothing that is posted can hurt."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from adapters.graph.notifications import (
    BODY_BYTES_MAX,
    BadBody,
    BodyTooLarge,
    ChangeNotification,
    content_type_ok,
    decode,
    is_genuine,
)

ANN = "8a1c0000-0000-4000-8000-00000000000a"
BOB = "8a1c0000-0000-4000-8000-00000000000b"
STAFF = "0bc70000-0000-4000-8000-00000000000c"
TENANT = "7d960000-0000-4000-8000-00000000000d"
SUBSCRIPTION = "092b0000-0000-4000-8000-00000000000e"


def posted(*items: Any, **more: Any) -> bytes:
    return json.dumps({"value": list(items), **more}).encode()


def user(**changes: Any) -> dict[str, Any]:
    return {
        "changeType": "updated",
        "clientState": "secret",
        "resource": f"Users/{ANN}",
        "resourceData": {
            "@odata.type": "#Microsoft.Graph.User",
            "@odata.id": f"Users/{ANN}",
            "id": ANN,
            "organizationId": TENANT,
            "eventTime": "2026-08-21T09:14:31.3062901Z",
            "sequenceNumber": 639229004713062901,
        },
        "subscriptionExpirationDateTime": "2026-09-18T00:00:00+00:00",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
        **changes,
    }


def group(*members: Any) -> dict[str, Any]:
    data = {"@odata.type": "#Microsoft.Graph.Group", "@odata.id": f"Groups/{STAFF}", "id": STAFF, "members@delta": list(members)}
    return user(resource=f"Groups/{STAFF}", resourceData=data)


def one(item: dict[str, Any]) -> ChangeNotification:
    (notification,) = decode(posted(item))
    return notification


def test_a_change_of_a_user_is_read() -> None:
    assert one(user()) == ChangeNotification(
        subscription_id=SUBSCRIPTION,
        tenant_id=TENANT,
        change_type="updated",
        client_state="secret",
        resource_kind="user",
        resource_id=ANN,
        member_ids=None,
        lifecycle=None,
    )


def test_members_are_read_with_both_forms_of_removed_and_each_once() -> None:
    read = one(
        group({"id": ANN}, {"id": ANN, "@removed": "deleted"}, {"id": BOB.upper(), "@removed": {"reason": "deleted"}}, {"id": "x"}, {})
    )
    assert (read.resource_kind, read.resource_id) == ("group", STAFF)
    assert read.member_ids == (ANN, BOB)


def test_a_group_without_members_named_is_told_from_one_with_none() -> None:
    assert one(group()).member_ids == ()
    assert one(user(resource=f"groups/{STAFF}", resourceData={"id": STAFF})).member_ids is None


def test_a_lifecycle_notification_has_no_resource() -> None:
    item = {"subscriptionId": SUBSCRIPTION, "tenantId": TENANT, "clientState": "secret", "lifecycleEvent": "reauthorizationRequired"}
    read = one(item)
    assert (read.lifecycle, read.resource_kind, read.resource_id, read.change_type) == ("reauthorizationRequired", "other", "", "")


def test_a_mixed_batch_keeps_its_order_and_unknown_members_are_ignored() -> None:
    body = posted(user(), group(), user(tenantId="other", extra={"deep": [1, {"x": None}]}), more=["stuff"])
    assert [(read.resource_kind, read.tenant_id) for read in decode(body)] == [("user", TENANT), ("group", TENANT), ("user", "other")]
    assert decode(posted()) == []


@pytest.mark.parametrize("resource", [f"Users/{ANN}", f"/users/{ANN.upper()}", f"USERS('{ANN}')", f"/users/{ANN}/manager", None])
def test_the_same_user_is_found_however_the_path_is_written(resource: str | None) -> None:
    read = one(user(resource=resource))
    assert (read.resource_kind, read.resource_id) == ("user", ANN)


def test_the_path_serves_where_the_data_has_no_id() -> None:
    assert one(user(resourceData=None)).resource_id == ANN
    assert one(user(resourceData={})).resource_id == ANN


@pytest.mark.parametrize(
    "changes",
    [
        {"resource": f"Users/{BOB}"},
        {"resource": f"Groups/{ANN}"},
        {"resource": "Users/../../admin"},
        {"resource": "Users/me"},
        {"resource": f"https://evil.example/users/{ANN}"},
        {"resource": f"//evil.example/users/{ANN}"},
        {"resource": f"applications/{ANN}"},
        {"resource": "x" * 5000},
        {"resource": f"Users/{ANN}x"},
        {"resource": f"Users/{ANN}\n"},
        {"resource": "Users/１１１１１１１１-1111-4111-8111-111111111111"},
        {"resourceData": {"id": "me"}},
        {"resourceData": {"id": f"{ANN}/manager"}},
        {"resourceData": {"@odata.type": "#Microsoft.Graph.Device", "id": ANN}},
        {"resource": None, "resourceData": None},
        {"resource": None, "resourceData": {"id": ANN}},
        {"resource": None, "resourceData": {"@odata.type": "#Microsoft.Graph.Device", "id": ANN}},
    ],
)
def test_what_does_not_plainly_name_a_user_or_group_is_other(changes: dict[str, Any]) -> None:
    read = one(user(**changes))
    assert (read.resource_kind, read.resource_id, read.member_ids) == ("other", "", None)


@pytest.mark.parametrize("text", ["x" * 65, "a\nb", "a\x00b", "\u202eabc", None])
def test_an_id_that_would_spoil_a_log_line_is_dropped(text: str | None) -> None:
    read = one(user(subscriptionId=text, tenantId=text, changeType=text))
    assert (read.subscription_id, read.tenant_id, read.change_type) == ("", "", "")


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "blank": b"   ",
    "text": b"hello",
    "html": b"<html></html>",
    "null": b"null",
    "number": b"7",
    "a list": b"[]",
    "a string": b'"value"',
    "no value": b"{}",
    "value is null": b'{"value":null}',
    "value is an object": b'{"value":{}}',
    "value of other case": b'{"Value":[]}',
    "an item is null": b'{"value":[null]}',
    "an item is a list": b'{"value":[[]]}',
    "a number for a text": b'{"value":[{"subscriptionId":7}]}',
    "a list for the state": b'{"value":[{"clientState":["secret"]}]}',
    "a text for the data": b'{"value":[{"resourceData":"x"}]}',
    "an object for the members": b'{"value":[{"resourceData":{"members@delta":{}}}]}',
    "a number for a member": b'{"value":[{"resourceData":{"members@delta":[7]}}]}',
    "cut": b'{"value":[{"subscriptionId":"x"',
    "followed by more": b'{"value":[]}{"value":[]}',
    "a comma too many": b'{"value":[],}',
    "a comment": b'{"value":[]/* */}',
    "not a number": b'{"value":[],"x":NaN}',
    "infinity": b'{"value":[{"x":-Infinity}]}',
    "a byte order mark": b'\xef\xbb\xbf{"value":[]}',
    "utf-16": '{"value":[]}'.encode("utf-16"),
    "latin-1 in a text we read": b'{"value":[{"subscriptionId":"\xe9"}]}',
    "latin-1 in a text we skip": b'{"value":[],"x":"\xe9"}',
    "half a surrogate": b'{"value":[{"subscriptionId":"\\ud800"}]}',
    "an overlong encoding": b'{"value":[],"x":"\xc0\xaf"}',
    "a control character": b'{"value":[{"subscriptionId":"a\x00b"}]}',
    "deep lists": b"[" * 10_000 + b"]" * 10_000,
    "deep lists never closed": b"[" * 200_000,
    "deep lists in a place we read": b'{"value":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "deep lists in a place we skip": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"value":[]}',
    "deep objects in a place we skip": b'{"x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b',"value":[]}',
    "deep inside an item": b'{"value":[{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}]}",
    "deep inside a removed marker": b'{"value":[{"resourceData":{"members@delta":[{"@removed":' + b"[" * 9000 + b"]" * 9000 + b"}]}}]}",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_body_is_one_sentence_and_nothing_else(body: bytes) -> None:
    with pytest.raises(BadBody) as caught:
        decode(body)
    said = str(caught.value)
    assert 0 < len(said) < 200
    assert "\n" not in said
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "body",
    [
        b'{"value":[],"x":' + b"9" * 100_000 + b"}",
        b'{"value":[],"value":[{}]}',
        b'{"value":[{"subscriptionId":"a\\u0000b","resourceData":{"sequenceNumber":' + b"9" * 4000 + b"}}]}",
        b'\t\r\n {"value" : [ ] } ',
    ],
)
def test_an_odd_body_that_is_json_is_read(body: bytes) -> None:
    assert len(decode(body)) <= 1


def test_a_body_over_the_limit_is_too_large_before_it_is_parsed() -> None:
    with pytest.raises(BodyTooLarge):
        decode(b"\xff" * (BODY_BYTES_MAX + 1))
    exact = b'{"value":[]}'.ljust(BODY_BYTES_MAX)
    assert decode(exact) == []
    with pytest.raises(BodyTooLarge):
        decode(exact + b" ")


def test_a_thousand_notifications_are_read_and_one_more_is_too_many() -> None:
    assert len(decode(b'{"value":[' + b"{}," * 999 + b"{}]}")) == 1000
    with pytest.raises(BodyTooLarge):
        decode(b'{"value":[' + b"{}," * 1000 + b"{}]}")


def test_the_client_state_may_be_the_current_or_the_previous_value() -> None:
    assert is_genuine("new", ("new", "old"))
    assert is_genuine("old", ("new", "old"))
    assert is_genuine("schlüssel", ("schlüssel",))


@pytest.mark.parametrize("given", [None, "", "ne", "neww", "NEW", "new ", "néw"])
def test_another_client_state_is_not_genuine(given: str | None) -> None:
    assert not is_genuine(given, ("new", "old"))


class Guarded(bytes):
    """Bytes that a plain comparison, which stops at the first difference, may not touch."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared in a time that tells how much was right")

    __hash__ = bytes.__hash__


class Secret(str):
    """A text that counts how often it was taken into a comparison."""

    taken = 0

    def encode(self, *args: Any, **kwargs: Any) -> Guarded:
        self.taken += 1
        return Guarded(super().encode(*args, **kwargs))


@pytest.mark.parametrize("given", ["new", "old", "nex", "other", ""])
def test_the_time_of_the_comparison_tells_nothing(given: str) -> None:
    accepted = (Secret("new"), Secret("old"))
    assert is_genuine(Secret(given), accepted) is (given in accepted)
    # A match with the first does not spare the second its comparison.
    assert [one.taken for one in accepted] == [1, 1]


@pytest.mark.parametrize("expected", [(), ("",), ("", "")])
def test_no_configured_client_state_means_nothing_is_genuine(expected: tuple[str, ...]) -> None:
    assert not is_genuine("", expected)
    assert not is_genuine(None, expected)
    assert not is_genuine("x", expected)


@pytest.mark.parametrize(
    "header",
    ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"', "application/json; odata.metadata=minimal"],
)
def test_json_in_utf8_is_the_right_content_type(header: str) -> None:
    assert content_type_ok(header)


@pytest.mark.parametrize(
    "header", [None, "", "text/plain", "application/jsonx", "application/json, text/html", "application/json; charset=utf-16", "json"]
)
def test_anything_else_is_the_wrong_content_type(header: str | None) -> None:
    assert not content_type_ok(header)


def test_the_door_loads_no_http_client_and_no_sdk() -> None:
    code = (
        "import sys, adapters.graph.notifications; print(sorted({'httpx', 'msgraph', 'asyncio', 'tenacity', 'azure'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
