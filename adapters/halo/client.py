"""Calls to Halo: one token, one total deadline per call, every answer judged by the table in ``answers.py``."""

from __future__ import annotations

import copy
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import tenacity

from adapters.halo.answers import ShortTrouble, Unauthorised, from_exception, from_status, unreadable
from adapters.halo.deadline import EXTENSION, Deadline, DeadlineTransport
from adapters.halo.tenant_profile import TenantProfile
from joinery.engine.ports import CallBudget, Clock
from joinery.errors import Refused, TryLater

log = logging.getLogger(__name__)

# httpx writes whole addresses at INFO, and a query may hold somebody's mail address.
if logging.getLogger("httpx").level == logging.NOTSET:
    logging.getLogger("httpx").setLevel(logging.WARNING)

#: Lifetime of a token whose answer does not say, in seconds; other clients fall back to the same.
TOKEN_LIFETIME = 3600.0

#: A token is renewed this many seconds before it ends (or after nine tenths of a very short life).
TOKEN_MARGIN = 60.0

#: How often a read is sent within its deadline.
READ_ATTEMPTS = 3


class HaloClient:
    """One Halo, one application.

    Args:
        base_url: ends with ``/api``.
        auth_url: the authorisation server; ``/token`` is added unless it is there.
        tenant: goes into the token request, where the profile says; empty for custom domains and on-premises.
        transport: another way to send, for tests; whoever passes one also sees to its deadlines.
        budget: asked right before every request. All of them count at Halo, repeats and tokens too (Halo reference 2.5 and the
            table of section 1: the token endpoint answers 429 as well). None: a Halo without a limit.
        profile: the habits of this Halo; everything that talks to it asks its client for them.
    """

    def __init__(
        self,
        base_url: str,
        auth_url: str,
        client_id: str,
        client_secret: str,
        tenant: str = "",
        scope: str = "all",
        transport: httpx.BaseTransport | None = None,
        *,
        clock: Clock,
        reads_within: timedelta = timedelta(seconds=20),
        budget: CallBudget | None = None,
        profile: TenantProfile | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._token_url = auth_url.rstrip("/") if auth_url.rstrip("/").endswith("/token") else f"{auth_url.rstrip('/')}/token"
        self._form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret, "scope": scope}
        self.profile = profile or TenantProfile()
        self._tenant = {"tenant": tenant} if tenant else {}
        self._clock = clock
        self._reads_within = reads_within
        self._budget = budget
        self._sleep = sleep
        tls = "https" in (urlsplit(self._base).scheme, urlsplit(self._token_url).scheme)
        self._http = httpx.Client(
            transport=transport or DeadlineTransport(tls=tls),
            follow_redirects=False,
            trust_env=False,
            headers={"accept": "application/json", "user-agent": "joinery"},
        )
        self._lock = threading.Lock()
        self._token = ""
        self._token_until = 0.0
        #: Of the token, where its answer said them.
        self._scopes: frozenset[str] | None = None

    @property
    def clock(self) -> Clock:
        """The clock that deadlines and caches go by."""
        return self._clock

    @property
    def client_id(self) -> str:
        """The application that we are."""
        return self._form["client_id"]

    @property
    def names_tenant(self) -> bool:
        """Whether a token request has a tenant to name."""
        return bool(self._tenant)

    def with_profile(self, profile: TenantProfile) -> HaloClient:
        """The same Halo over the same connections, taken to have other habits; closing one closes both."""
        other = copy.copy(self)
        other.profile = profile
        return other

    def deadline(self, within: timedelta | None = None) -> Deadline:
        """A total deadline from this moment on; without an argument the one for reads."""
        return Deadline(self._clock, self._reads_within if within is None else within)

    def ticket_url(self, ticket_id: int) -> str:
        """Where a browser opens the ticket: ``https://{host}/ticket?id={id}``."""
        return f"{self._base.removesuffix('/api')}/ticket?id={ticket_id}"

    def get(self, path: str, query: Mapping[str, str | int] | None = None, *, deadline: Deadline | None = None) -> Any:
        """Read; repeated shortly after a lost connection or a gateway's error, all within the deadline.

        Raises:
            TryLater: no usable answer.
            Refused: the desk says no (NotThere, BadRequest are kinds of it).
        """
        limit = deadline or self.deadline()
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(ShortTrouble),
            wait=tenacity.wait_exponential(multiplier=0.2, max=2.0) + tenacity.wait_random(0, 0.2),
            stop=lambda state: state.attempt_number >= READ_ATTEMPTS or state.upcoming_sleep >= limit.remaining,
            sleep=self._sleep,
            reraise=True,
        )
        return attempts(self._authorised, "GET", path, limit, query=query)

    def discover(self, path: str) -> Any:
        """Read a page that needs no token: ``/authinfo`` and ``/InstanceInfo`` (Halo reference section 1). Raises as ``get`` does."""
        limit = self.deadline()
        return self._judged(self._http.build_request("GET", f"{self._base}{path}"), f"GET {path}", limit, write=False)

    def signs_in_at(self, auth_url: str) -> bool:
        """Whether this is the authorisation server that we ask for tokens."""
        return self._token_url.casefold() == f"{auth_url.strip().rstrip('/').removesuffix('/token')}/token".casefold()

    def sign_in(self) -> timedelta:
        """Fetch a fresh token now; how long it is good for. Raises as ``get`` does."""
        with self._lock:
            return self._fetch_token(self.deadline())

    def post(self, path: str, row: Mapping[str, Any], *, deadline: Deadline) -> dict[str, Any]:
        """Write one object, in one request, never repeated; an array of one, as Halo wants it.

        Returns the object that Halo answers with; it has an ``id``, the one that was sent if one was sent.

        Raises:
            TryLater: nothing was written.
            Refused: nothing was written, and a repeat would not help.
            OutcomeUnknown: it may have been written.
        """
        answer = self._authorised("POST", path, deadline, row={**row, **self.profile.flags_for(path)})
        written = answer[-1] if isinstance(answer, list) and answer else answer
        if not isinstance(written, dict) or written.get("id") is None:
            raise unreadable(f"POST {path}", "the answer holds no object with an id", write=True)
        if "id" in row and str(written["id"]).removesuffix(".0") != str(row["id"]):
            raise unreadable(f"POST {path}", f"sent id {row['id']}, got id {written['id']} back", write=True)
        return written

    def delete(self, path: str, *, deadline: Deadline) -> None:
        """Remove one object, in one request, never repeated. Raises as ``post`` does; NotThere where it is gone already."""
        self._authorised("DELETE", path, deadline)

    def granted_scopes(self) -> frozenset[str] | None:
        """The scopes of our token; None where the answer did not say. Raises TryLater or Refused."""
        self._bearer(self.deadline())
        return self._scopes

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    # --- below: how -----------------------------------------------------------------------------------------------

    def _authorised(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        query: Mapping[str, str | int] | None = None,
        row: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send with a token; a 401 is answered with a fresh token, once. The token comes first, so that the write is one request."""
        token = self._bearer(deadline)
        try:
            return self._send(method, path, deadline, token=token, query=query, row=row)
        except Unauthorised:
            # A 401 wrote nothing (Halo reference 11.8), so even a write may be sent again.
            self._forget(token)
            return self._send(method, path, deadline, token=self._bearer(deadline), query=query, row=row)

    def _send(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        token: str,
        query: Mapping[str, str | int] | None,
        row: Mapping[str, Any] | None,
    ) -> Any:
        write = method != "GET"
        what = f"{method} {path}"
        request = self._http.build_request(
            method,
            f"{self._base}{path}",
            params=query,
            content=json.dumps([row]).encode("ascii") if row is not None else None,
            headers={"authorization": f"Bearer {token}"} | ({"content-type": "application/json"} if row is not None else {}),
        )
        return self._judged(request, what, deadline, write=write)

    def _judged(self, request: httpx.Request, what: str, deadline: Deadline, *, write: bool) -> Any:
        if self._budget is not None:
            self._budget.spend()
        # Looked at after the budget, which may have had to ask a slow store: from here on nothing lies before the call.
        remaining = deadline.remaining
        if remaining <= 0:
            raise TryLater(f"{what}: not sent, the call's time was used up")
        request.extensions = {**request.extensions, EXTENSION: deadline, "timeout": httpx.Timeout(remaining).as_dict()}
        try:
            response = self._http.send(request)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict) as error:
            log.info("no answer", extra={"action": "halo_call", "call": what, "error": type(error).__name__})
            raise from_exception(error, what, write=write) from error
        if not response.is_success:
            log.info("not done", extra={"action": "halo_call", "call": what, "status": response.status_code})
            raise from_status(response, what, write=write, now=self._clock.now())
        if request.method == "DELETE" and not response.content:
            # Deleting answers with what was deleted (reference 2.1); a desk that only says yes has said enough.
            return None
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError) as error:
            raise unreadable(what, f"{response.status_code} with a body that is not JSON", write=write) from error

    def _bearer(self, deadline: Deadline) -> str:
        """The token, fetched by one thread for all."""
        if not self._lock.acquire(timeout=deadline.remaining):
            raise TryLater("POST /token: another call was still fetching the token when this one's time was used up")
        try:
            if not self._token or self._clock.monotonic() >= self._token_until:
                self._fetch_token(deadline)
            return self._token
        finally:
            self._lock.release()

    def _fetch_token(self, deadline: Deadline) -> timedelta:
        place = self.profile.tenant_in
        form = self._form | (self._tenant if place == "form" else {})
        request = self._http.build_request("POST", self._token_url, params=self._tenant if place == "query" else {}, data=form)
        asked_at = self._clock.monotonic()
        # Judged as a read: a token that was issued and lost changes nothing.
        answer = self._judged(request, "POST /token", deadline, write=False)
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise Refused("POST /token: the answer holds no access_token; check the authorisation server's address")
        lifetime = answer.get("expires_in")
        try:
            seconds = float(lifetime) if lifetime is not None else TOKEN_LIFETIME
        except (TypeError, ValueError):
            seconds = TOKEN_LIFETIME
        scope = answer.get("scope")
        self._scopes = frozenset(scope.split()) if isinstance(scope, str) else None
        self._token, self._token_until = token, asked_at + seconds - min(TOKEN_MARGIN, seconds / 10)
        return timedelta(seconds=seconds)

    def _forget(self, token: str) -> None:
        with self._lock:
            if self._token == token:
                self._token = ""
