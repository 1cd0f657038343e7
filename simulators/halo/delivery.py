"""The thread that sends queued webhook deliveries, one request after the other.

A refused connection or an answer other than 2xx is tried again with growing pauses, up to `webhook_attempts`; a webhook whose
`auto_disable_attempts` failures in a row are reached switches itself off, silently, and what it had queued is forgotten.
"""

from __future__ import annotations

import functools
import json
import logging
import ssl
import threading
from collections.abc import Mapping
from time import monotonic
from typing import Any

import httpx

from simulators.halo.members import Doc
from simulators.halo.tenant import Tenant
from simulators.halo.webhooks import log_delivery

log = logging.getLogger(__name__)

#: Seconds for one request; the receiver is on this machine.
_ANSWER_WITHIN = 10.0
#: The longest pause between two tries, in seconds; the first is one second.
_PAUSE_MAX = 60.0
#: `batch_method`: not at all, after a time, after a number (or the time).
_SINGLE, _BY_TIME = 0, 1
_LOG_KEPT = 5_000


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The authorities that deliveries trust; reading them takes about 25 ms, far longer than a delivery."""
    return httpx.create_ssl_context(trust_env=False)


class WebhookDelivery:
    """Sends what waits in the state; `start` and `stop` run it on a thread, `send_due` sends once."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._news = threading.Condition()
        self._dirty = False
        self._running = False
        self._thread: threading.Thread | None = None
        tenant.state.watch(self._tell)
        tenant.clock.watch(self._tell)

    def start(self) -> None:
        """Send on a thread of its own from now on, beginning with what an earlier process left."""
        if self._thread is None:
            self._running = self._dirty = True
            self._thread = threading.Thread(target=self._loop, name="halo-webhooks", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the request that is on its way; the rest stays in the state."""
        with self._news:
            self._running = False
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def send_due(self) -> int:
        """Send everything that is due; answers how many requests were made."""
        sent = 0
        while batch := self._next():
            self._send(*batch)
            sent += 1
        return sent

    def _tell(self) -> None:
        with self._news:
            self._dirty = True
            self._news.notify_all()

    def _loop(self) -> None:
        while self._running:
            with self._news:
                self._dirty = False
            while self._running and (batch := self._next()):
                self._send(*batch)
            with self._news:
                if self._running and not self._dirty:
                    self._news.wait(self._seconds_to_next())

    def _seconds_to_next(self) -> float | None:
        now = self._tenant.clock.now().timestamp()
        return min((max(0.01, self._due(row) - now) for row in self._tenant.rows("outbox")), default=None)

    def _due(self, row: Mapping[str, Any]) -> float:
        if row["created"] > (now := self._tenant.clock.now().timestamp()) + 1:
            return now  # the clock was moved back since
        webhook = self._tenant.row("webhook", row["webhook_id"]) or {}
        delay = webhook.get("batch_delay_seconds", 0) if webhook.get("batch_method") else 0
        return max(float(row["due"]), float(row["created"]) + delay)

    def _next(self) -> tuple[Doc, list[Doc]] | None:
        """The next webhook with what is due for it: one delivery, or all that wait when it batches."""
        now = self._tenant.clock.now().timestamp()
        with self._tenant.state.transaction():
            waiting = [dict(row) for row in self._tenant.rows("outbox")]
            for row in waiting:
                webhook = self._tenant.row("webhook", row["webhook_id"])
                if webhook is None or not webhook["active"]:
                    self._tenant.drop("outbox", row["id"])
                    continue
                together = [
                    other
                    for other in waiting
                    if other["webhook_id"] == webhook["id"] and (other["due"] <= now or other["created"] > now + 1)
                ]
                full = webhook["batch_method"] > _BY_TIME and len(together) >= max(1, webhook["batch_limit"])
                if self._due(row) <= now or full:
                    return webhook, ([row] if webhook["batch_method"] == _SINGLE else together)
        return None

    def _send(self, webhook: Doc, rows: list[Doc]) -> None:
        if self._tenant.faults.take_kind("drop_webhook"):
            with self._tenant.state.transaction():
                for row in rows:
                    self._tenant.drop("outbox", row["id"])
            return
        duplicate = self._tenant.faults.take_kind("duplicate_webhook")
        body = json.dumps(rows[0]["body"] if webhook["batch_method"] == _SINGLE else [row["body"] for row in rows], ensure_ascii=False)
        for _ in range(1 + ((duplicate.copies or 1) if duplicate else 0)):
            outcome = self._post(webhook, body)
        with self._tenant.state.transaction():
            if not self._tenant.state.get("webhook", webhook["id"]):
                return
            log_delivery(self._tenant, webhook["id"], rows, body, outcome)
            self._settle(webhook["id"], rows, ok=200 <= outcome["responsestatus"] < 300, status=outcome["responsestatus"])
            self._trim()

    def _post(self, webhook: Doc, body: str) -> dict[str, Any]:
        auth = (webhook["basic_username"], webhook.get("basic_password") or "") if webhook["authentication_type"] == 1 else None
        begun = monotonic()
        try:
            response = httpx.post(
                webhook["url"],
                content=body.encode(),
                headers={"Content-Type": webhook["content_type"] or "application/json"},
                auth=auth,
                timeout=_ANSWER_WITHIN,
                verify=_trusted(),
                trust_env=False,
            )
            status, text = response.status_code, response.text[:2000]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # a ValueError: text that no header can carry
            status, text = 0, type(error).__name__
        good = 200 <= status < 300
        seconds = round(monotonic() - begun, 3)
        return {"status": 1 if good else 2, "error": not good, "duration": seconds, "responsestatus": status, "responsebody": text}

    def _settle(self, webhook_id: str, rows: list[Doc], *, ok: bool, status: int) -> None:
        """Take delivered rows out of the queue, put failed ones back for later, and switch a webhook off that keeps failing."""
        tenant = self._tenant
        webhook = tenant.row("webhook", webhook_id) or {}
        failures = 0 if ok else webhook["failures"] + 1
        off = 0 < webhook["auto_disable_attempts"] <= failures
        tenant.put(
            "webhook",
            webhook_id,
            webhook | {"failures": failures, "last_status": status} | ({"active": False, "disabled": True} if off else {}),
        )
        if off:
            log.info("webhook switched itself off", extra={"action": "webhook_disabled", "webhook": webhook_id, "failures": failures})
        now = tenant.clock.now().timestamp()
        for row in rows:
            tries = row["tries"] + 1
            if ok or off or tries >= tenant.switches.webhook_attempts:
                tenant.drop("outbox", row["id"])
            else:
                tenant.put("outbox", row["id"], row | {"tries": tries, "due": now + min(2.0 ** (tries - 1), _PAUSE_MAX)})

    def _trim(self) -> None:
        kept = self._tenant.rows("webhookevent")
        for row in kept[: max(0, len(kept) - _LOG_KEPT)]:
            self._tenant.drop("webhookevent", row["id"])
