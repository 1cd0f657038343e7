"""What happened to a ticket, turned into webhook deliveries that wait in the state.

Subscriptions are `/Notification` rows that tie a webhook to an event number. A delivery is stored in the same commit as the change it tells
about; the delivery thread sends it afterwards (`HaloITSM reference 8`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.halo.members import Doc
from simulators.halo.tenant import Caller, Tenant, new_guid

NEW, UPDATED_BY_USER, CLOSED, STATUS_CHANGED, DELETED = 3, 19, 39, 76, 1072
#: The numbers of the approval events are not published: these are ours. Clients find them by name in lookup 64.
APPROVAL_REQUESTED, APPROVAL_ACCEPTED, APPROVAL_REJECTED = 2101, 2102, 2103
#: `GET /Lookup?lookupid=64`, by number (`value2`).
CATALOGUE = {
    NEW: "New Ticket Logged",
    UPDATED_BY_USER: "Ticket Updated by User",
    CLOSED: "Ticket Closed",
    70: "Ticket Deadline Reached",
    STATUS_CHANGED: "Ticket Status Changed",
    DELETED: "Ticket Deleted",
    APPROVAL_REQUESTED: "Approval Requested",
    APPROVAL_ACCEPTED: "Approval Accepted",
    APPROVAL_REJECTED: "Approval Rejected",
}
#: The `type` and `delivery_method` that make a notification row a webhook's subscription.
_WEBHOOK_TYPE, _WEBHOOK_METHOD = -2, 6
#: Seconds for which a delivery waits to be overtaken.
_HELD_AT_MOST = 5.0


def happened(tenant: Tenant, who: Caller, number: int, ticket: Mapping[str, Any]) -> None:
    """Queue one delivery per subscription of an active webhook whose conditions hold. In the transaction of the change."""
    for row in tenant.rows("notification"):
        webhook = tenant.row("webhook", row["webhook_id"])
        subscribed = row["eventno"] == number and row["type"] == _WEBHOOK_TYPE and row["delivery_method"] == _WEBHOOK_METHOD
        if not subscribed or webhook is None or not webhook["active"] or not _holds(row["conditions"], ticket):
            continue
        now = tenant.clock.now().timestamp()
        late = tenant.faults.take_kind("late_webhook")
        waits = next((one for one in tenant.rows("outbox") if one.get("held") and one["webhook_id"] == webhook["id"]), None)
        held = waits is None and tenant.faults.take_kind("reorder_webhook") is not None
        delivery = {
            "webhook_id": webhook["id"],
            "notification_id": row["id"],
            "entity_id": ticket["id"],
            "created": now,
            "due": now + (late.delay if late else _HELD_AT_MOST if held else 0),
            "held": held,
            "tries": 0,
            "body": _body(tenant, who, number, row, ticket),
        }
        _queue(tenant, delivery)
        if waits is not None:
            # The one that was held back goes behind the one that overtook it.
            tenant.drop("outbox", waits["id"])
            _queue(tenant, {**waits, "held": False, "due": delivery["due"]})


def _queue(tenant: Tenant, delivery: Mapping[str, Any]) -> None:
    number = tenant.next_id("outbox")
    tenant.put("outbox", number, {**delivery, "id": number})


def _holds(conditions: list[Mapping[str, Any]], ticket: Mapping[str, Any]) -> bool:
    """Conditions on columns of the ticket, all of which have to hold; the ones of other tables are not looked at."""
    for condition in conditions:
        if str(condition.get("tablename") or "faults").casefold() != "faults":
            continue
        wanted = condition.get("value_int")
        wanted = condition.get("value_string") if wanted is None else wanted
        if str(ticket.get(str(condition.get("fieldname") or ""))) != str(wanted):
            return False
    return True


def _body(tenant: Tenant, who: Caller, number: int, row: Mapping[str, Any], ticket: Mapping[str, Any]) -> Doc:
    """The delivered members. Halo's own names were not found: these are the reference's assumption, and who did it stands in the action."""
    body: Doc = {
        "id": new_guid(),
        "notification_id": row["id"],
        "event": CATALOGUE.get(number, str(number)),
        "webhook_id": row["webhook_id"],
        "object_id": ticket["id"],
        "timestamp": tenant.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    if tenant.switches.webhook_payload == "keys":
        return body
    shown = {member: ticket[member] for member in ("id", "summary", "status_id", "tickettype_id", "client_id")}
    actor = {"actionby_application_id": tenant.shown_application(who), "actionby_agent_id": who.agent_id, "actionby_user_id": who.user_id}
    return body | {"ticket": shown, "action": {"ticket_id": ticket["id"], **actor}}
