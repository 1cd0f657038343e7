"""`/Webhook`, `/Notification` and `/WebhookEvent`: where deliveries go, what starts them, and what became of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, request

from simulators.halo.errors import forbidden, not_found, refused
from simulators.halo.http import answer, apply, query
from simulators.halo.listing import ordered, page
from simulators.halo.members import NOTIFICATION, WEBHOOK, Doc
from simulators.halo.query import body_rows, path_id
from simulators.halo.tenant import Tenant, caller, new_guid

_BLANK_WEBHOOK: Doc = {
    "type": 0,
    "url": "",
    "method": 0,
    "content_type": "application/json",
    "authentication_type": 0,
    "basic_username": "",
    "active": True,
    "disabled": False,
    "payload_type": 0,
    "batch_method": 0,
    "batch_delay_seconds": 30,
    "batch_limit": 10,
    "infinite_loop_threshold": 5,
    "auto_disable_attempts": 0,
    "last_status": 0,
    "note": "",
}


def save_webhook(tenant: Tenant, row: Doc) -> Doc:
    """Create or merge a webhook; its `events` are a read-only view. 404 for an unknown id, 400 for a taken name or a url that is none."""
    key = str(row.get("id") or "").lower()
    before = tenant.row("webhook", key) if key else None
    if key and before is None:
        raise not_found()
    sent = {name: value for name, value in row.items() if value is not None and name != "id"}
    after = (before or _BLANK_WEBHOOK | {"id": new_guid(), "failures": 0}) | sent
    name = str(after.get("name") or "").strip()
    if not name or any(known["name"].casefold() == name.casefold() and known["id"] != after["id"] for known in tenant.rows("webhook")):
        raise refused("The name of a webhook has to be given and unique.")
    if after["type"] == 0 and not _is_url(after["url"]):
        raise refused("Please enter a valid URL.")
    if after["active"] and before is not None and not before["active"]:
        after |= {"failures": 0, "disabled": False}
    tenant.put("webhook", after["id"], after)
    return after


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.hostname)


def save_notification(tenant: Tenant, row: Doc) -> Doc:
    """Create a subscription, or overwrite the one with the same `id` or `guid`. 400 for an unknown webhook or a missing event number."""
    rows = tenant.rows("notification")
    guid = str(row.get("guid") or "").lower()
    before = next((known for known in rows if known["id"] == (row.get("id") or 0) or (guid and known["guid"] == guid)), None)
    if before is None and (row.get("id") or 0) > 0:
        raise not_found()
    number = before["id"] if before is not None else tenant.next_id("notification")
    blank = {"type": 0, "delivery_method": 0, "filter_type": 0, "conditions": [], "name": "", "eventno": 0, "webhook_id": ""}
    sent = {name: value for name, value in row.items() if value is not None}
    after: Doc = {**blank, **(before or {}), **sent, "id": number, "guid": before["guid"] if before is not None else guid or new_guid()}
    after["webhook_id"] = str(after["webhook_id"]).lower()
    if tenant.row("webhook", after["webhook_id"]) is None or after["eventno"] <= 0:
        raise refused("A notification needs a webhook_id and an eventno.")
    tenant.put("notification", number, after)
    return after


def shown(tenant: Tenant, webhook: Doc) -> Doc:
    """A webhook as it goes out, without its password."""
    row = {name: value for name, value in webhook.items() if name not in ("basic_password", "failures")}
    return row | {"events": [dict(known) for known in tenant.rows("notification") if known["webhook_id"] == webhook["id"]]}


def add_routes(app: Flask, tenant: Tenant) -> None:
    """The three nouns; only applications and agents get in."""

    def webhook(key: str) -> Doc:
        found = tenant.row("webhook", key.lower())
        if found is None:
            raise not_found()
        return found

    def notification(key: str) -> Doc:
        found = tenant.row("notification", path_id(key))
        if found is None:
            raise not_found()
        return found

    @app.get("/api/webhook")
    def webhooks() -> Response:
        return answer([shown(tenant, dict(row)) for row in tenant.rows("webhook")])

    @app.get("/api/webhook/<key>")
    def webhook_one(key: str) -> Response:
        return answer(shown(tenant, webhook(key)))

    @app.post("/api/webhook")
    def webhook_write() -> Response:
        rows = body_rows(request, WEBHOOK)
        return apply(
            tenant, rows, lambda row: save_webhook(tenant, row), lambda row: shown(tenant, row), known=lambda row: bool(row.get("id"))
        )

    @app.delete("/api/webhook/<key>")
    def webhook_delete(key: str) -> Response:
        row = webhook(key)
        gone = shown(tenant, row)
        tenant.drop("webhook", row["id"])
        for subscription in gone["events"]:
            tenant.drop("notification", subscription["id"])
        return answer(gone)

    @app.get("/api/notification")
    def notifications() -> Response:
        wanted = query().text("webhook_id").lower()
        return answer([dict(row) for row in tenant.rows("notification") if not wanted or row["webhook_id"] == wanted])

    @app.get("/api/notification/<key>")
    def notification_one(key: str) -> Response:
        return answer(notification(key))

    @app.post("/api/notification")
    def notification_write() -> Response:
        rows = body_rows(request, NOTIFICATION)
        return apply(tenant, rows, lambda row: save_notification(tenant, row), dict, known=lambda row: bool(row.get("id")))

    @app.delete("/api/notification/<key>")
    def notification_delete(key: str) -> Response:
        row = notification(key)
        tenant.drop("notification", row["id"])
        return answer(row)

    @app.get("/api/webhookevent")
    def deliveries() -> Response:
        wanted = query().text("webhook_id").lower()
        rows = [dict(row) for row in tenant.rows("webhookevent") if not wanted or row["webhook_id"] == wanted]
        rows.sort(key=lambda row: str(row["timestamp"]), reverse=True)
        chosen, around = page(ordered(rows, query()) if query().text("order") else rows, query())
        return answer({**around, "events": chosen})

    @app.get("/api/webhookevent/<key>")
    def delivery(key: str) -> Response:
        found = tenant.row("webhookevent", key.lower())
        if found is None:
            raise not_found()
        return answer(found)


def check_allowed(path: str) -> None:
    """403 for somebody from the portal on any of these."""
    if caller().is_user and path.startswith(("/api/webhook", "/api/notification")):
        raise forbidden()


def log_delivery(tenant: Tenant, webhook_id: str, deliveries: list[Doc], body: str, outcome: dict[str, Any]) -> None:
    """One row of `/WebhookEvent` for one HTTP request. In a transaction."""
    key = new_guid()
    tenant.put(
        "webhookevent",
        key,
        {
            "id": key,
            "webhook_id": webhook_id,
            "notification_id": deliveries[0]["notification_id"],
            "entity_id": deliveries[0]["entity_id"],
            "timestamp": tenant.now(),
            "requestbody": body,
            **outcome,
        },
    )
