"""The desk's webhook on the wire: `joinery up` sets it up at the pretend Halo, and nobody else finds the door."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from product import Product, wait_until

pytestmark = pytest.mark.servers


def webhooks(it: Product) -> list[dict[str, Any]]:
    """What the pretend Halo posts, and where to."""
    rows: list[dict[str, Any]] = it.world.halo("GET", "/Webhook")
    return rows


def delivered(it: Product) -> list[int]:
    """The statuses that our door answered."""
    return [row["responsestatus"] for row in it.world.halo("GET", "/WebhookEvent?count=100")["events"]]


def test_the_pretend_halo_tells_of_answers_and_deletions_and_is_let_in(up: Product) -> None:
    (webhook,) = webhooks(up)
    assert webhook["url"].startswith(f"{up.url}/api/desk-events/")
    assert webhook["authentication_type"] == 1
    assert len(webhook["events"]) == 3
    assert delivered(up) == []
    made = up.world.halo("POST", "/Tickets", [{"summary": "Of no interest", "details": "text", "tickettype_id": 1}])
    up.world.halo("DELETE", f"/Tickets/{made['id']}")
    wait_until("the deletion was told", lambda: delivered(up) == [202], explain=up.story)


def test_another_start_changes_the_webhook_and_makes_no_second_one(up: Product) -> None:
    before = webhooks(up)
    up.restart()
    assert webhooks(up) == before


@pytest.mark.parametrize("path", ["desk-events", "desk-events/", "desk-events/guess", "desk-events/guess/more"])
def test_whoever_does_not_know_the_secret_finds_no_door(up: Product, path: str) -> None:
    posted = httpx.post(f"{up.url}/api/{path}", json={"object_id": 1}, auth=("joinery", "guess"), trust_env=False)
    assert posted.status_code == 404


def test_whoever_knows_the_secret_alone_is_not_let_in(up: Product) -> None:
    (webhook,) = webhooks(up)
    assert httpx.post(webhook["url"], json={"object_id": 1}, trust_env=False).status_code == 401
    assert httpx.post(webhook["url"], json={"object_id": 1}, auth=("joinery", "guess"), trust_env=False).status_code == 401
    assert httpx.get(webhook["url"], trust_env=False).status_code == 405


def test_the_secret_stands_in_no_log(up: Product) -> None:
    (webhook,) = webhooks(up)
    assert webhook["url"].rpartition("/")[2] not in up.log()
    assert webhook["url"].rpartition("/")[2] not in up.ours.output
