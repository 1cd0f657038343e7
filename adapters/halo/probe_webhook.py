"""Step 10 of a probe: a webhook of its own catches one change of the ticket, and says what the desk posts."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from adapters.halo import wire
from adapters.halo.answers import NotThere
from adapters.halo.names import STATUS
from adapters.halo.probe_bench import Bench, FailedStep, SkippedStep
from joinery.errors import Refused, TryLater

#: "Ticket Status Changed" in the catalogue of events, and its number where that does not say (Halo reference 8.1).
_EVENTS, _CHANGED, _CHANGED_NUMBER = 64, "ticket status changed", 76
#: What makes a notification row the subscription of a webhook (reference 8.1).
_SUBSCRIPTION = {"type": -2, "delivery_method": 6, "conditions": []}
_DEPTH_MAX = 6


def catch_delivery(bench: Bench) -> str:
    """Register, change the ticket's status, read the log of deliveries, take away. Whoever has the address need not answer."""
    number = bench.ticket()
    if not bench.plan.webhook_url:
        raise SkippedStep("no address for a webhook was named", "Name one that the desk can post to; nothing needs to answer there.")
    name = f"Joinery probe {bench.key}"
    made, known = [name], list[str]()
    with bench.putting_back("the webhook", lambda: _take_away(bench, made, known)):
        try:
            webhook = _register(bench, name)
        except (TryLater, Refused):
            made.clear()
            raise
        known.append(f"/Webhook/{webhook}")
        subscription = {**_SUBSCRIPTION, "webhook_id": webhook, "eventno": _event(bench)}
        written = bench.client.post("/Notification", subscription, deadline=bench.client.deadline())
        # It goes first: whether it goes with its webhook is not known.
        known.insert(0, f"/Notification/{written['id']}")
        _change_status(bench, number)
        body = _delivered(bench, webhook, number)
    return _judged(bench, body, number)


def _register(bench: Bench, name: str) -> str:
    row = {"name": name, "type": 0, "url": bench.plan.webhook_url, "method": 0, "content_type": "application/json"}
    row |= {"authentication_type": 0, "active": True}
    return str(bench.client.post("/Webhook", row, deadline=bench.client.deadline())["id"])


def _event(bench: Bench) -> int:
    rows = wire.rows_of(bench.client.get("/Lookup", {"lookupid": _EVENTS}), "/Lookup")
    found = (wire.number(row.get("value2")) for row in rows if wire.same(wire.text(row, "name"), _CHANGED))
    return next((number for number in found if number), _CHANGED_NUMBER)


def _change_status(bench: Bench, number: int) -> None:
    """To the status that it began with or, where it still has that one, to the one that awaits."""
    ticket = bench.tickets().read(number, bench.client.deadline()) or {}
    awaiting = bench.names.find(STATUS, bench.plan.desk.awaiting_status)
    now = wire.number(ticket.get("status_id"))
    other = bench.first_status if now != bench.first_status else awaiting.id if awaiting else None
    if other is None:
        raise SkippedStep("there is no second status to put the ticket into: step 4")
    bench.client.post("/Tickets", {"id": number, "status_id": other}, deadline=bench.client.deadline())


def _delivered(bench: Bench, webhook: str, number: int) -> Any:
    """The body of the delivery about our ticket, as the log of the webhook has it."""
    query: dict[str, str | int] = {"webhook_id": webhook, "pageinate": "true", "page_size": 50, "page_no": 1}
    for _ in bench.waits():
        for row in wire.rows_of(bench.client.get("/WebhookEvent", query), "/WebhookEvent"):
            if wire.number(row.get("entity_id")) not in (None, 0, number):
                continue
            try:
                body = json.loads(wire.text(row, "requestbody"))
            except (ValueError, RecursionError):
                continue
            body = body[0] if isinstance(body, list) and body else body
            if isinstance(body, dict):
                return body
    raise FailedStep(
        f"no delivery about ticket {number} within {bench.plan.wait_max.total_seconds():.0f} s",
        "See whether the desk may post to that address; without webhooks answers are found by [approvals] poll_minutes.",
    )


def _judged(bench: Bench, body: Any, number: int) -> str:
    """Where the ticket's id stands, and where we stand as the one who did it. Raises FailedStep where the id is nowhere we look."""
    leaves = list(_leaves(body))
    named = [path for path, value in leaves if wire.number(value) == number]
    place = next((path for path in bench.plan.webhook_members if path in named), "")
    if not place:
        shown = ",".join(named)
        remedy = f"Set JOINERY_DESK_WEBHOOK_MEMBERS to {shown}." if named else "Choose a payload that has the ticket's id."
        raise FailedStep(f"the ticket's id stands {f'in {shown}' if shown else 'nowhere'} in what is posted", remedy)
    us = tuple(known for known in (bench.application, bench.client.client_id) if known)
    # Who made the ticket is not who did this: it stands in every post about a ticket of ours, whoever answers on it.
    posted = [
        (path, value) for path, value in leaves if isinstance(value, str) and not re.search("creat|open|report|source|origin", path, re.I)
    ]
    actors = tuple(path for path, value in posted if any(wire.same(value, known) for known in us))
    if not actors:
        return f"the ticket's id stands in {place}; who did it is not said, so our own writes are looked at too"
    # Where the members of the profile are among them, they are enough.
    kept = tuple(path for path in bench.client.profile.actors if path in actors)
    bench.learn(actors=bench.client.profile.actors if kept else actors)
    return f"the ticket's id stands in {place}, who did it in {(kept or actors)[0]}"


def _leaves(body: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Path with dots and value of every member that is neither object nor list."""
    if isinstance(body, dict) and depth < _DEPTH_MAX:
        for name, value in body.items():
            if re.fullmatch(r"\w+", name):
                yield from _leaves(value, f"{path}.{name}" if path else name, depth + 1)
    elif not isinstance(body, dict | list):
        yield path, body


def _take_away(bench: Bench, names: list[str], known: list[str]) -> None:
    """What is known, then by their names, which are ours alone: the answer that made one may have been lost."""
    refused = []
    for path in list(known):
        try:
            with contextlib.suppress(NotThere):
                bench.client.delete(path, deadline=bench.client.deadline())
            known.remove(path)
        except Refused as error:
            # Of the others as much as can be.
            refused.append(f"{path.removeprefix('/')}: {error}")
    for webhook in _named(bench, names):
        with contextlib.suppress(NotThere):
            bench.client.delete(f"/Webhook/{webhook}", deadline=bench.client.deadline())
    if refused:
        raise Refused(f"{'; '.join(refused)}: remove it by hand")
    if left := _named(bench, names):
        raise Refused(f"webhook {left[0]} is still there: remove it by hand")


def _named(bench: Bench, names: list[str]) -> list[str]:
    """Ids of the webhooks with these names; nothing is asked where there are none."""
    rows = wire.rows_of(bench.client.get("/Webhook"), "/Webhook") if names else []
    return [str(row.get("id")) for row in rows if wire.text(row, "name") in names]
