"""Tokens: `POST /auth/token`, the check on every other call, and the two discovery pages that need none.

Tokens are signed, not stored: the key lives in the data folder, so a restart keeps them valid (`HaloITSM reference 1`). They end by the wall
clock, so that whoever moves the simulated clock by days stays signed in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

from flask import Flask, Response, jsonify, request

from simulators.halo.errors import HaloError
from simulators.halo.members import words
from simulators.halo.rate import count_call
from simulators.halo.tenant import Caller, Tenant

#: Client ids of the API applications, each with the id of the agent it logs in as.
CLIENTS = {"joinery": 2, "local": 3}
#: The client that Joinery itself is.
OURS = "joinery"
SECRET = "local"
TENANT = "local"
_AREAS = words(
    "tickets calendar customers crm contracts suppliers items projects sales quotes sos pos invoices reporting software softwarelicensing kb "
    "assets timesheets"
)
#: The scopes that real tenants know; any other is `invalid_scope`. There is none for users or agents.
SCOPES = frozenset(
    {"all", "all:standard", "admin", "access:chat", "access:adpasswordreset", "offline_access", "delete:tickets"}
    | {f"{right}:{area}" for right in ("read", "edit") for area in _AREAS}
)
_KEY = "token_key"


def prepare_key(tenant: Tenant) -> None:
    """Make the signing key on first use. In a transaction."""
    if tenant.row("secret", _KEY) is None:
        tenant.put("secret", _KEY, {"value": secrets.token_hex(32)})


def token_error(status: int, error: str, description: str) -> HaloError:
    """The OAuth error body of the identity server."""
    return HaloError(status, {"error": error, "error_description": description})


def add_routes(app: Flask, tenant: Tenant) -> None:
    """`/auth/token`, `/api/authinfo` and `/api/instanceinfo`."""

    @app.post("/auth/token")
    def token() -> Response:
        if not _is_addressed(tenant):
            raise HaloError(500)
        client, secret = _client_credentials()
        count_call(tenant, client or "local")
        grant = request.form.get("grant_type", "")
        scopes = _scopes(request.form.get("scope", ""))
        if grant == "client_credentials":
            _check_client(client, secret)
            who: dict[str, Any] = {"client": client, "kind": "application", "id": CLIENTS[client]}
        elif grant == "password":
            if client or secret:
                _check_client(client, SECRET if secret is None else secret)
            who = {"client": client or "local"} | _person(tenant, request.form.get("username", ""), request.form.get("password", ""))
        else:
            raise token_error(400, "unsupported_grant_type", "The grant types are client_credentials and password.")
        lifetime = tenant.switches.token_lifetime
        expires = time.time() + lifetime
        signed = _sign(tenant, who | {"scope": " ".join(sorted(scopes)), "exp": expires, "jti": secrets.token_hex(8)})
        return jsonify(access_token=signed, token_type="Bearer", expires_in=lifetime, scope=" ".join(sorted(scopes)))

    @app.get("/api/authinfo")
    def authinfo() -> Response:
        return jsonify(auth_url=request.host_url + "auth", tenant_id=TENANT)

    @app.get("/api/instanceinfo")
    def instance_info() -> Response:
        return jsonify(version="2.250.1", product="HaloITSM", name="Joinery's pretend Halo")


def authenticate(tenant: Tenant) -> Caller:
    """Who calls, from the Bearer token. 401 when it is missing, forged, expired, or its person may not sign in any more."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    claims = _read(tenant, token.strip()) if kind.lower() == "bearer" else None
    if claims is None or claims["exp"] <= time.time() or _is_revoked(tenant, claims["jti"]):
        raise HaloError(401, headers={"WWW-Authenticate": "Bearer"})
    scopes = frozenset(claims["scope"].split())
    if claims["kind"] == "user":
        user = tenant.row("users", claims["id"])
        if user is None or user["inactive"]:
            raise HaloError(401, headers={"WWW-Authenticate": "Bearer"})
        return Caller(client=claims["client"], kind="user", user_id=claims["id"], name=user["name"], scopes=scopes)
    agent = tenant.row("agents", claims["id"])
    if agent is None or agent["isdisabled"]:
        raise HaloError(401, headers={"WWW-Authenticate": "Bearer"})
    return Caller(client=claims["client"], kind=claims["kind"], agent_id=claims["id"], name=agent["name"], scopes=scopes)


def _is_addressed(tenant: Tenant) -> bool:
    """Whether a token request names this tenant where it has to."""
    said = {"query": request.args.get("tenant"), "form": request.form.get("tenant")}
    named = [said[place] or "" for place in said if tenant.switches.tenant_in in ("anywhere", place)]
    optional = tenant.switches.tenant_in == "anywhere"
    return next((name for name in named if name), TENANT if optional else "").lower() == TENANT


def _is_revoked(tenant: Tenant, token: str) -> bool:
    """Whether this token counts no more; the fault `token_revoked` ends the one that it meets, for good."""
    if tenant.fault("token_revoked"):
        tenant.revoked.add(token)
    return token in tenant.revoked


def _client_credentials() -> tuple[str, str | None]:
    basic = request.authorization
    if basic is not None and basic.type == "basic":
        return basic.username or "", basic.password
    return request.form.get("client_id", ""), request.form.get("client_secret")


def _check_client(client: str, secret: str | None) -> None:
    if client not in CLIENTS or not hmac.compare_digest((secret or "").encode(), SECRET.encode()):
        raise token_error(401, "invalid_client", "client credentials rejected")


def _scopes(text: str) -> set[str]:
    wanted = set(text.split()) or {"all"}
    if unknown := wanted - SCOPES:
        raise token_error(400, "invalid_scope", f"unknown scope: {' '.join(sorted(unknown))}")
    return wanted


def _person(tenant: Tenant, username: str, password: str) -> dict[str, Any]:
    """The agent or, failing that, the user with this mail. 400 `invalid_grant` as OpenIddict answers."""
    mail = username.strip().casefold()
    if mail and hmac.compare_digest(password.encode(), SECRET.encode()):
        for agent in tenant.rows("agents"):
            if str(agent.get("email") or "").casefold() == mail and not agent["isdisabled"]:
                return {"kind": "agent", "id": agent["id"]}
        for user in tenant.rows("users"):
            mails = {str(user.get(member) or "").casefold() for member in ("emailaddress", "login")}
            if mail in mails and not user["inactive"]:
                return {"kind": "user", "id": user["id"]}
    raise token_error(400, "invalid_grant", "the username or password is wrong, or the account is disabled")


def _sign(tenant: Tenant, claims: dict[str, Any]) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{body}.{_signature(tenant, body)}"


def _read(tenant: Tenant, token: str) -> dict[str, Any] | None:
    body, _, signature = token.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(tenant, body).encode()):
        return None
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def _signature(tenant: Tenant, body: str) -> str:
    key = tenant.row("secret", _KEY) or {"value": ""}
    digest = hmac.new(bytes.fromhex(key["value"]), body.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
