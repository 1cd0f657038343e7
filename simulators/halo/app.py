"""The pretend Halo put together: Flask app, door, webhook thread, data folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from simulators.clock import SimClock
from simulators.door import Door
from simulators.faults import FaultBook
from simulators.halo import actions, agents, approval_routes, audit, auth, reference_data, ticket_routes, trouble, users, webhooks
from simulators.halo.delivery import WebhookDelivery
from simulators.halo.errors import HaloError, forbidden
from simulators.halo.http import error_answer, query
from simulators.halo.rate import THROTTLED, count_call
from simulators.halo.seed import seed_reference
from simulators.halo.strict import check_published
from simulators.halo.switches import Switches
from simulators.halo.tenant import Tenant, caller
from simulators.state import StateFile

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

#: Faults beyond those of every stand-in.
FAULTS = frozenset(
    {
        "index_lag",
        "filter_ignored",
        "page_repeated",
        "wrong_count",
        "token_revoked",
        "drop_webhook",
        "duplicate_webhook",
        "late_webhook",
        "reorder_webhook",
        "role_change_ignored",
        "write_ignored",
        "approval_ignored",
    }
)
#: Bodies larger than this are 413.
_LARGEST_BODY = 16 * 1024 * 1024
_OPEN = ("/auth/token", "/api/authinfo", "/api/instanceinfo", "/_switches")
#: The scope area that a path needs; reading users and agents needs none of its own.
_AREAS = {
    "tickets": "tickets",
    "actions": "tickets",
    "ticketapproval": "tickets",
    "client": "customers",
    "site": "customers",
    "users": "customers",
}
_ADMIN_ONLY = ("webhook", "notification", "webhookevent", "azureadmapping")


class PretendHalo:
    """A Halo tenant on the far side of the wire. `wsgi` serves it; `start` runs its webhook and late-request threads."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._door = Door(_app(tenant), tenant.state, tenant.clock, tenant.faults, throttled=THROTTLED)
        self._delivery = WebhookDelivery(tenant)
        self._closed = False
        self.clock = tenant.clock

    @property
    def wsgi(self) -> WSGIApplication:
        """The WSGI callable, door included."""
        return self._door

    def start(self) -> None:
        """Start to deliver webhooks and to land late requests, also what an earlier process left."""
        self._door.start()
        self._delivery.start()

    def stop(self) -> None:
        """Stop the threads and close the data file; what is undelivered stays in it. Close the server that serves `wsgi` first."""
        self._door.stop()
        self._delivery.stop()
        if not self._closed:
            self._closed = True
            self._tenant.state.close()

    def deliver_due(self) -> int:
        """Send the webhook deliveries that are due, without the thread; answers how many requests were made."""
        return self._delivery.send_due()


def create_halo(data: Path | None = None, clock: SimClock | None = None, **switches: Any) -> PretendHalo:
    """A pretend Halo whose world lives in the folder `data` (None: in memory), filled with reference data when it is empty.

    ValueError for an unknown switch or value.
    """
    chosen = Switches().changed(switches)
    state = StateFile(None if data is None else data / "halo.sqlite")
    tenant = Tenant(state=state, clock=clock or SimClock(), faults=FaultBook(FAULTS), switches=chosen)
    seed_reference(tenant)
    return PretendHalo(tenant)


class _HaloFlask(Flask):
    """Flask with Halo's habits: paths without regard to case, and one transaction around every request."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__("pretend_halo", static_folder=None)
        self.tenant = tenant

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = "/" + "/".join(part for part in environ.get("PATH_INFO", "").lower().split("/") if part)
        return super().wsgi_app(environ | {"PATH_INFO": path}, start_response)

    def full_dispatch_request(self) -> Response:
        # The outer transaction is the lock under which a request sees one world; what a refused one changed is taken back by the inner one.
        with self.tenant.state.transaction():
            return super().full_dispatch_request()

    def dispatch_request(self) -> ResponseReturnValue:
        with self.tenant.state.transaction():
            return super().dispatch_request()


def _app(tenant: Tenant) -> Flask:
    app = _HaloFlask(tenant)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BODY

    @app.before_request
    def enter() -> None:
        if request.path in _OPEN:
            return
        g.caller = auth.authenticate(tenant)
        count_call(tenant, g.caller.client)
        _check_scope(request.path, request.method)
        webhooks.check_allowed(request.path)
        check_published(tenant, query())
        g.query = trouble.misread(tenant, query())

    @app.errorhandler(HaloError)
    def on_refusal(error: HaloError) -> Response:
        return error_answer(error)

    @app.errorhandler(HTTPException)
    def on_unknown(error: HTTPException) -> Response:
        return Response(status=error.code or 500)

    @app.errorhandler(Exception)
    def on_defect(error: Exception) -> Response:
        log.error("the pretend Halo failed", exc_info=error, extra={"action": "halo_failed", "path": request.path})
        return Response(status=500)

    @app.get("/_switches")
    def switches_shown() -> Response:
        return jsonify(tenant.switches.shown())

    @app.put("/_switches")
    def switches_changed() -> ResponseReturnValue:
        sent = request.get_json(silent=True, force=True)
        if not isinstance(sent, dict):
            return jsonify(error="The body is a JSON object of switches."), 400
        try:
            changed = tenant.switches.changed(sent)
        except ValueError as wrong:
            return jsonify(error=str(wrong)), 400
        tenant.switches = changed
        return jsonify(tenant.switches.shown())

    for module in (auth, ticket_routes, actions, approval_routes, users, agents, reference_data, webhooks, audit):
        module.add_routes(app, tenant)
    trouble.add_habits(app, tenant)
    return app


def _check_scope(path: str, method: str) -> None:
    """403 when the token's scopes do not cover the noun."""
    noun = path.split("/")[2] if path.count("/") > 1 else ""
    who = caller()
    if noun in _ADMIN_ONLY and not who.may("admin"):
        raise forbidden()
    area = _AREAS.get(noun)
    if area is None or (noun == "users" and method == "GET"):
        return
    if not (who.may(f"edit:{area}") or (method == "GET" and who.may(f"read:{area}"))):
        raise forbidden()
