"""Notifications that come three times, in reverse, two days late or not at all: the same end state."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from product import Product, product, wait_until
from tales import joined, left, made
from world import BREAK_GLASS, Someone

pytestmark = pytest.mark.servers

_ALWAYS: dict[str, Any] = {"match": {}, "times": None}
_TWO_DAYS = timedelta(days=2)


def _both_stories(it: Product, name: str) -> None:
    one, other = made(it, name), it.world.person(f"{name} Other")
    agent = it.world.agent(one, "Administrator")
    it.world.add(one)
    _more_of_each_kind(it, other)
    joined(it, one)
    it.world.disable(one)
    _more_of_each_kind(it, other)
    left(it, one, agent=agent)


def _more_of_each_kind(it: Product, other: Someone) -> None:
    """A notification that is held back to be overtaken goes out once another one of its subscription has."""
    it.world.add(other, BREAK_GLASS)
    it.world.remove(other, BREAK_GLASS)
    for title in ("Analyst", "Auditor"):
        it.world.change(other, jobTitle=title)


@pytest.mark.parametrize(
    "fault", [{"fault": "duplicate", "copies": 2}, {"fault": "storm"}, {"fault": "reorder"}], ids=lambda one: one["fault"]
)
def test_repeated_and_reordered_notifications_change_nothing(up: Product, fault: dict[str, Any]) -> None:
    up.world.graph_faults(_ALWAYS | fault)
    _both_stories(up, f"Rita {fault['fault'].title()}")


def test_what_no_notification_told_is_found_by_the_sweep_of_the_next_start(tmp_path: Path) -> None:
    with product(tmp_path) as it:
        it.world.graph_faults(_ALWAYS | {"fault": "drop"})
        one = made(it, "Silva Unheard")
        it.world.add(one)
        it.restart()
        joined(it, one)
        # The stand-in restarted with us, and a new one has no faults.
        it.world.graph_faults(_ALWAYS | {"fault": "drop"})
        it.world.disable(one)
        it.restart()
        left(it, one)
        assert it.health()[1]["received"] == 0


def test_notifications_that_come_two_days_late_change_nothing_any_more(tmp_path: Path) -> None:
    """They are held back by two days; the sweeps find everything meanwhile, and then the late ones arrive."""
    with product(tmp_path, apart=True) as it:
        it.world.graph_faults(_ALWAYS | {"fault": "delay", "delay": _TWO_DAYS.total_seconds()})
        one = made(it, "Lars Late")
        it.world.add(one)
        it.restart()
        joined(it, one)
        it.world.disable(one)
        it.restart()
        left(it, one)
        assert it.health()[1]["received"] == 0
        it.world.graph_faults()
        _put_clock(it.world.graph_url, datetime.now(UTC) + _TWO_DAYS + timedelta(minutes=1))
        wait_until("the late ones arrive", lambda: it.health()[1]["received"] >= 3, explain=it.story)
        after = made(it, "Ada Afterwards")
        it.world.add(after)
        joined(it, after)
        left(it, one)


def test_recorded_notifications_replayed_in_reverse_three_times_start_nothing(up: Product) -> None:
    """Somebody who knows our secret repeats everything: each costs a read."""
    one = made(up, "Rob Recorded")
    up.world.add(one)
    joined(up, one)
    up.world.disable(one)
    left(up, one)
    secret = (up.data / "client-state").read_text().strip()
    group = up.world.group("ITSM-NewJoiner")
    told = [_about("users", one.id, secret), _about("groups", group, secret, added=one.id), _about("users", one.id, secret)]
    for _ in range(3):
        for value in reversed(told):
            answer = httpx.post(f"{up.url}/api/notifications", json={"value": [value]}, trust_env=False)
            assert answer.status_code == 202
    other = made(up, "Otto Other")
    up.world.add(other)
    joined(up, other)
    left(up, one)


def _about(what: str, number: str, secret: str, added: str | None = None) -> dict[str, Any]:
    kind = "User" if what == "users" else "Group"
    data: dict[str, Any] = {"@odata.type": f"#Microsoft.Graph.{kind}", "@odata.id": f"{kind}s/{number}", "id": number}
    if added:
        data["members@delta"] = [{"id": added}]
    return {
        "subscriptionId": "7f105c7d-2dc5-4530-97cd-4e7ae6534c07",
        "subscriptionExpirationDateTime": "2031-03-20T11:00:00Z",
        "clientState": secret,
        "changeType": "updated",
        "resource": f"{kind}s/{number}",
        "resourceData": json.loads(json.dumps(data)),
        "tenantId": "local",
    }


def _put_clock(url: str, now: datetime) -> None:
    httpx.put(f"{url}/_clock", json={"now": now.isoformat()}, trust_env=False).raise_for_status()
