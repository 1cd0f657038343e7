"""Tokens for Graph by client credentials ("Get access without a user"): fetched when needed, shared by all threads."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Protocol

import httpx
import msgspec

from adapters.graph.answers import Passing, retry_after
from adapters.system import SystemClock, trusted
from joinery.engine.ports import Clock
from joinery.errors import Refused, TryLater

#: How long before its end a token is no longer handed out: a call must not outlive it.
MARGIN_MAX = timedelta(minutes=5)


class TokenSource(Protocol):
    """Whoever has tokens. Both methods raise TryLater or Refused."""

    def token(self) -> str:
        """A token that is good for some minutes yet."""

    def refresh(self, rejected: str | None = None) -> str:
        """A new token, because ``rejected`` was not accepted; None means whatever is held now."""


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: int | float | str = 3599


class _Denied(msgspec.Struct):
    error: str = ""
    error_codes: list[int] = []


_GRANTED = msgspec.json.Decoder(_Granted)
_DENIED = msgspec.json.Decoder(_Denied)


class CachedTokens(ABC):
    """One token for all threads: one of them fetches while the others wait. One near its end is still handed out when no new one can be had."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._token = ""
        #: On the monotonic clock: from when on a new one is fetched, and when the token ends.
        self._fresh_until = 0.0
        self._good_until = 0.0

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    def _grant(self, *, anew: bool) -> tuple[str, float]:
        """A token and for how many seconds it is good. ``anew``: whatever others keep for us was not accepted. Raises TryLater or Refused."""

    def token(self) -> str:
        """A token that is good for some minutes yet. Raises TryLater, or Refused if the credentials are not accepted."""
        with self._lock:
            if not self._token or self._clock.monotonic() >= self._fresh_until:
                try:
                    self._fetch(anew=False)
                except TryLater:
                    if not self._token or self._clock.monotonic() >= self._good_until:
                        raise
            return self._token

    def refresh(self, rejected: str | None = None) -> str:
        """A new token. Several threads whose calls were refused together cause one fetch. Raises TryLater or Refused."""
        with self._lock:
            if rejected is None or rejected == self._token:
                self._token = ""
            if not self._token:
                self._fetch(anew=True)
            return self._token

    def _fetch(self, *, anew: bool) -> None:
        asked_at = self._clock.monotonic()
        token, lifetime = self._grant(anew=anew)
        if not token.isascii() or not token.isprintable() or not token:
            raise TryLater("the token endpoint sent something that is no token")
        self._token = token
        self._good_until = asked_at + lifetime
        self._fresh_until = self._good_until - min(MARGIN_MAX.total_seconds(), lifetime / 2)


class ClientCredentials(CachedTokens):
    """``POST {authority}/{tenant}/oauth2/v2.0/token`` with a client secret. ``scope`` is the Graph root with ``/.default`` behind it."""

    def __init__(
        self,
        *,
        authority: str,
        tenant: str,
        client_id: str,
        client_secret: str,
        scope: str,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(clock)
        self._url = f"{authority.rstrip('/')}/{tenant}/oauth2/v2.0/token"
        self._form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret, "scope": scope}
        timeout = httpx.Timeout(8, connect=3)
        self._http = httpx.Client(transport=transport, verify=trusted(), timeout=timeout, trust_env=False, follow_redirects=False)

    def __repr__(self) -> str:
        return f"ClientCredentials({self._url!r}, client_secret=***)"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _grant(self, *, anew: bool) -> tuple[str, float]:
        try:
            reply = self._http.post(self._url, data=self._form)
        except httpx.RequestError as error:
            raise Passing(f"the token endpoint does not answer ({type(error).__name__})") from None
        if reply.status_code != 200:
            raise self._denied(reply)
        try:
            granted = _GRANTED.decode(reply.content)
            return granted.access_token, float(granted.expires_in)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise TryLater("the token endpoint sent something that is no token") from None

    def _denied(self, reply: httpx.Response) -> Exception:
        if reply.status_code in (408, 429) or reply.status_code >= 500:
            return Passing(f"the token endpoint answered {reply.status_code}", after=retry_after(reply.headers, self._clock.now()))
        try:
            denied = _DENIED.decode(reply.content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            denied = _Denied()
        # The description repeats ids and times only, but never let a text from there carry our secret back.
        codes = ", ".join(f"AADSTS{code}" for code in denied.error_codes[:3])
        name = denied.error[:60] if denied.error.isidentifier() else ""
        detail = ", ".join(part for part in (name, codes) if part)
        return Refused(
            f"the token endpoint answered {reply.status_code}{' (' + detail + ')' if detail else ''}: "
            "check authority, tenant, client id, client secret and the end date of the secret"
        )
