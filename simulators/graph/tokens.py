"""The pretend sign-in service: client credentials for one tenant, by secret or certificate, and bearer tokens that only it can make."""

import base64
import binascii
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from simulators.graph.errors import GraphError
from simulators.graph.identities import ASSERTION_TYPE, Certificates
from simulators.graph.wire import Reply, Seal

CLIENT_ID = "local"
#: Another application of the same tenant, for what writes; its secret is the same. What either may do is in its tokens, and hardly looked at.
WRITER_ID = "local-writer"
CLIENT_SECRET = "local"
#: Seconds.
LIFE = 3599
#: ``{"typ":"JWT"}``; the signature that follows is of our own making.
_HEADER = "eyJ0eXAiOiJKV1QifQ"


class Tokens:
    """Gives and checks bearer tokens. They live on the wall clock and outlive a restart, since the key is part of the state."""

    def __init__(
        self,
        seal: Seal,
        tenants: frozenset[str],
        certificates: Certificates,
        *,
        roles: Callable[[str], Sequence[str]],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._seal = seal
        self._roles = roles
        self._certificates = certificates
        self._tenants = tenants
        self._wall = wall

    def grant(self, tenant: str, form: Mapping[str, str], authorization: str) -> Reply:
        """POST /{tenant}/oauth2/v2.0/token: 200 with a token, 400 or 401 with an AADSTS text."""
        if tenant.lower() not in self._tenants:
            return _no(400, "invalid_request", f"AADSTS90002: Tenant '{tenant[:64]}' not found.", 90002)
        if form.get("grant_type") != "client_credentials":
            return _no(400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.", 70003)
        client, secret = _basic(authorization) or (form.get("client_id", ""), form.get("client_secret", ""))
        if client not in (CLIENT_ID, WRITER_ID):
            return _no(401, "unauthorized_client", "AADSTS700016: Application was not found in the directory.", 700016)
        if form.get("client_assertion_type") == ASSERTION_TYPE:
            path = f"/{tenant}/oauth2/v2.0/token"
            refusal = self._certificates.refusal(form.get("client_assertion", ""), client=client, path=path)
            if refusal is not None:
                return _no(401, "invalid_client", *refusal)
        elif secret != CLIENT_SECRET:
            return _no(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.", 7000215)
        scope = form.get("scope", "")
        if not scope.split() or not all(one.endswith(".default") for one in scope.split()):
            return _no(400, "invalid_scope", "AADSTS1002012: The provided value for scope is not valid. It must end in /.default.", 1002012)
        return Reply(body={"token_type": "Bearer", "expires_in": LIFE, "ext_expires_in": LIFE, "access_token": self.issue(client)[0]})

    def issue(self, client: str) -> tuple[str, int]:
        """A token for somebody who is known, and its life in seconds. It has three parts, as a JWT has, and the claim ``roles``."""
        claims = {"client": client, "expires": self._wall() + LIFE, "n": secrets.token_hex(4), "roles": list(self._roles(client))}
        return f"{_HEADER}.{self._seal.write('token', claims)}", LIFE

    def roles_of(self, authorization: str) -> frozenset[str]:
        """The application permissions of a token that was checked before; they are those of the time when it was issued."""
        content = self._content(authorization)
        return frozenset(content["roles"]) if content else frozenset()

    def check(self, authorization: str) -> None:
        """401 InvalidAuthenticationToken unless the header carries a token of ours that has not expired."""
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized("Access token is empty.")
        content = self._content(authorization)
        if content is None:
            raise _unauthorized("CompactToken parsing failed with error code: 80049217")
        if content["expires"] < self._wall():
            raise _unauthorized("Lifetime validation failed, the token is expired.")

    def _content(self, authorization: str) -> dict[str, Any] | None:
        header, _, sealed = authorization.strip().partition(" ")[2].strip().partition(".")
        return self._seal.read("token", sealed) if header == _HEADER else None


def _basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote_plus(client), unquote_plus(secret)


def _no(status: int, error: str, text: str, number: int) -> Reply:
    return Reply(status=status, body={"error": error, "error_description": text, "error_codes": [number]})


def _unauthorized(message: str) -> GraphError:
    return GraphError(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": 'Bearer realm="", error="invalid_token"'})
