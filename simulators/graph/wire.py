"""What a handler gets and gives, and the sealed tokens that stand in links."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from simulators.graph.errors import bad_request
from simulators.state import StateFile

_SECRET = "secret"

#: Hosts that all mean this machine; a client may call one and write another in a link.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One call below /v1.0, also one that travelled in a batch."""

    method: str
    #: Decoded, without empty ones, casts, "()" and namespaces.
    segments: tuple[str, ...]
    #: The type that the path casts to, such as "user"; None without a cast.
    cast: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    #: Names in lower case.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The decoded JSON body, None without one.
    body: Any = None
    #: Scheme and host that the caller used, with /v1.0.
    base: str = "http://graph/v1.0"

    def json_object(self) -> dict[str, Any]:
        """The body, which has to be a JSON object; 400 otherwise."""
        if not isinstance(self.body, dict):
            raise bad_request(
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."
            )
        return self.body

    def link(self, path: str, **options: str) -> str:
        """An absolute URL on the host that the caller used, with query options (named without their $)."""
        query = "&".join(f"${name}={quote(value, safe='')}" for name, value in options.items())
        return f"{self.base}/{path}" + (f"?{query}" if query else "")

    def is_own(self, url: str) -> bool:
        """Whether a URL points at this stand-in, whatever name of the loopback it uses."""
        here, there = urlsplit(self.base), urlsplit(url)
        try:
            same_port = here.port == there.port
        except ValueError:
            return False
        same_host = here.hostname == there.hostname or {here.hostname, there.hostname} <= LOOPBACK
        return same_port and same_host and there.scheme in ("http", "https")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a handler answers."""

    status: int = 200
    #: JSON-able; None for no body; a text is sent as text/plain.
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Seal:
    """Writes small JSON objects as texts that nobody else can make; the key lives in the state, so that a restart reads them still."""

    def __init__(self, state: StateFile) -> None:
        kept = state.get(_SECRET, _SECRET)
        if kept is None:
            kept = {"key": secrets.token_hex(32)}
            with state.transaction():
                state.put(_SECRET, _SECRET, kept)
        self._key = bytes.fromhex(kept["key"])

    def write(self, purpose: str, content: Mapping[str, Any]) -> str:
        """An opaque URL-safe text."""
        payload = base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")
        return f"{payload}.{self._sign(purpose, payload)}"

    def read(self, purpose: str, text: str) -> dict[str, Any] | None:
        """What `write` sealed for the same purpose; None for anything else."""
        payload, _, signature = text.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(purpose, payload).encode()):
            return None
        content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return content

    def _sign(self, purpose: str, payload: str) -> str:
        digest = hmac.new(self._key, f"{purpose}:{payload}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:18]).decode()
