"""Our own application in Entra ID, looked at: which of its secrets is ours, whose subscriptions count, and what a token says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from adapters.graph.app_review import GraphAppReview
from adapters.graph.client import GraphClient

BASE = "https://graph.test/v1.0"
HOOK = "https://joinery.test/api/notifications"


class Token:
    def __init__(self, text: str = "opaque") -> None:
        self.text = text

    def token(self) -> str:
        return self.text

    def refresh(self, rejected: str | None = None) -> str:
        return self.text


def review(answer: Callable[[httpx.Request], Any], token: str = "opaque") -> GraphAppReview:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer(request)))
    tokens = Token(token)
    return GraphAppReview(client=GraphClient(BASE, tokens, transport=transport), tokens=tokens, client_id="app")


def jwt(claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJ0eXAiOiJKV1QifQ.{payload}.signature"


@pytest.mark.parametrize(
    ("token", "granted"),
    [
        (jwt({"roles": ["User.Read.All"], "appid": "app"}), {"User.Read.All"}),
        # Without any permission the claim is missing.
        (jwt({"appid": "app"}), set()),
        (jwt(["roles"]), None),
        ("opaque", None),
        ("a.b.c", None),
        ("EwBwA8l6BAAU.é.x", None),
    ],
)
def test_a_token_says_what_it_may_or_cannot_be_read(token: str, granted: set[str] | None) -> None:
    assert review(lambda request: {}, token).granted() == granted


@pytest.mark.parametrize(
    ("secrets", "ends"),
    [
        # Ours is the one whose first characters fit, though another lasts longer.
        ([("abc", "2027-01-01"), ("xyz", "2028-01-01")], "2027-01-01"),
        # Where no hint fits, or none is shown, whichever lasts longest may be ours.
        ([("xyz", "2027-01-01"), (None, "2028-01-01")], "2028-01-01"),
        # That of another secret is not ours, however long it lasts.
        ([("xyz", "2028-01-01"), (None, "2027-01-01")], "2027-01-01"),
        ([("abc", "2026-01-01"), ("abc", "2027-01-01")], "2027-01-01"),
        ([], None),
    ],
)
def test_of_several_secrets_the_one_counts_that_begins_as_ours(secrets: list[tuple[str | None, str]], ends: str | None) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> Any:
        asked.append(str(request.url))
        rows = [{"hint": hint, "endDateTime": f"{day}T00:00:00Z", "secretText": None} for hint, day in secrets]
        return {"passwordCredentials": rows}

    found = review(answer).secret_ends("abcdef")
    assert found == (datetime.fromisoformat(f"{ends}T00:00:00+00:00") if ends else None)
    assert asked == [f"{BASE}/applications(appId='app')?$select=passwordCredentials"] and "abc" not in asked[0]


def test_subscriptions_that_point_elsewhere_are_not_ours_and_every_page_is_read() -> None:
    def row(resource: str, day: int, url: str = HOOK) -> dict[str, str]:
        return {"resource": resource, "notificationUrl": url, "expirationDateTime": f"2026-12-{day:02}T00:00:00Z"}

    def answer(request: httpx.Request) -> Any:
        if "page" in request.url.params:
            return {"value": [row("groups", 9), row("/Users", 8)]}
        return {"value": [row("users", 5), row("groups", 28, "https://x.test/n")], "@odata.nextLink": f"{BASE}/subscriptions?page=2"}

    ends = {resource: end.day for resource, end in review(answer).subscriptions(HOOK).items()}
    assert ends == {"/users": 8, "/groups": 9}
    assert review(answer).subscriptions(HOOK)["/users"].tzinfo is UTC
