"""The pretend Halo's door: tokens, scopes, the rate limit, the switches."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from simulators.clock import SimClock
from simulators.halo import create_halo, sign_in

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CREDENTIALS = {"grant_type": "client_credentials", "client_id": "local", "client_secret": "local", "scope": "all"}


def anonymous(halo):
    return httpx.Client(base_url="http://halo.test", transport=httpx.WSGITransport(app=halo.wsgi))


@pytest.mark.parametrize("place", ["query", "form", "absent"])
def test_a_token_is_given_with_the_tenant_in_the_query_in_the_form_or_absent(place):
    form = CREDENTIALS | ({"tenant": "local"} if place == "form" else {})
    answer = anonymous(create_halo()).post("/auth/token", params={"tenant": "local"} if place == "query" else {}, data=form)
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == 3600


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"scope": "read:users"}, 400, "invalid_scope"),
        ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "nobody@example.com", "password": "local"}, 400, "invalid_grant"),
    ],
)
def test_a_refused_token_says_why(change, status, error):
    answer = anonymous(create_halo()).post("/auth/token", data=CREDENTIALS | change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_an_unknown_tenant_is_a_500_with_an_empty_body():
    answer = anonymous(create_halo()).post("/auth/token", params={"tenant": "elsewhere"}, data=CREDENTIALS)
    assert (answer.status_code, answer.content) == (500, b"")


def test_only_the_discovery_pages_are_open():
    http = anonymous(create_halo())
    assert http.get("/api/authinfo").json()["auth_url"] == "http://halo.test/auth"
    assert http.get("/api/InstanceInfo").json()["version"]
    for path in ("/api/Tickets", "/api/Users/1", "/api/nowhere"):
        assert http.get(path).status_code == 401
    assert http.get("/api/Tickets", headers={"Authorization": "Bearer eyJ.forged"}).status_code == 401


def test_a_token_that_ended_is_a_401_and_a_moved_clock_ends_none():
    clock = SimClock(NOON, frozen=True)
    halo = create_halo(clock=clock)
    http = sign_in(halo)
    clock.advance(timedelta(days=90))
    assert http.get("/api/Status").status_code == 200
    http.put("/_switches", json={"token_lifetime": 0})
    assert sign_in(halo).get("/api/Status").status_code == 401


def test_a_restart_keeps_tokens_valid_and_another_tenants_token_is_not(tmp_path: Path):
    first = create_halo(tmp_path)
    http = sign_in(first)
    token = http.headers["Authorization"]
    first.stop()
    again = create_halo(tmp_path)
    assert anonymous(again).get("/api/Status", headers={"Authorization": token}).status_code == 200
    again.stop()
    assert anonymous(create_halo()).get("/api/Status", headers={"Authorization": token}).status_code == 401


def test_a_user_and_an_agent_sign_in_with_mail_and_the_password_local():
    halo = create_halo()
    http = sign_in(halo)
    user = http.post("/api/Users", json=[{"name": "Ann", "emailaddress": "ann@example.com", "site_id": 18}]).json()
    agent = http.post("/api/Agent", json=[{"name": "Sam", "email": "sam@example.com"}]).json()
    assert sign_in(halo, username="ANN@example.com").get("/api/Users/me").json()["id"] == user["id"]
    assert sign_in(halo, username="sam@example.com").get("/api/Agent/me").json()["id"] == agent["id"]
    assert http.get("/api/Users/me").status_code == 404
    assert http.get("/api/Agent/me").json()["isapiagent"] is True


def test_an_inactive_user_or_a_disabled_agent_cannot_sign_in_and_is_signed_out():
    halo = create_halo()
    http = sign_in(halo)
    user = http.post("/api/Users", json=[{"name": "Ann", "emailaddress": "ann@example.com", "site_id": 18}]).json()
    portal = sign_in(halo, username="ann@example.com")
    http.post("/api/Users", json=[{"id": user["id"], "inactive": True}])
    assert portal.get("/api/Users/me").status_code == 401
    with pytest.raises(httpx.HTTPStatusError):
        sign_in(halo, username="ann@example.com")


def test_scope_and_role_are_both_enforced_with_an_empty_403():
    halo = create_halo()
    http = anonymous(halo)
    token = http.post("/auth/token", data=CREDENTIALS | {"scope": "read:tickets"}).json()["access_token"]
    http.headers["Authorization"] = f"Bearer {token}"
    assert http.get("/api/Tickets").status_code == 200
    assert http.get("/api/Users").status_code == 200, "directory reads need no scope of their own"
    refused = http.post("/api/Tickets", json=[{"summary": "x"}])
    assert (refused.status_code, refused.content) == (403, b"")
    assert http.post("/api/Agent", json=[{"name": "x"}]).status_code == 403
    sign_in(halo).post("/api/Agent", json=[{"name": "Sam", "email": "sam@example.com"}])
    assert sign_in(halo, username="sam@example.com").post("/api/Agent", json=[{"name": "x"}]).status_code == 403


def test_the_rate_limit_counts_per_client_in_a_rolling_window():
    clock = SimClock(NOON, frozen=True)
    halo = create_halo(clock=clock, rate_limit=5)
    ours, theirs = sign_in(halo, client="joinery"), sign_in(halo)
    for _ in range(4):
        assert ours.get("/api/Status").status_code == 200
    refused = ours.get("/api/Status")
    assert refused.status_code == 429
    assert "Retry-After" not in refused.headers
    for _ in range(10):
        assert theirs.get("/api/Status").status_code == 200, "local is unlimited"
    with pytest.raises(httpx.HTTPStatusError, match="429"):
        sign_in(halo, client="joinery")
    clock.advance(timedelta(seconds=300))
    assert ours.get("/api/Status").status_code == 200


def test_the_default_limit_is_700_in_300_seconds():
    switches = anonymous(create_halo()).get("/_switches").json()
    assert (switches["rate_limit"], switches["rate_window"], switches["limited_clients"]) == (700, 300, ["joinery"])


def test_retry_after_is_said_only_when_switched_on():
    clock = SimClock(NOON, frozen=True)
    halo = create_halo(clock=clock, rate_limit=1, retry_after=True)
    ours = sign_in(halo, client="joinery")
    clock.advance(timedelta(seconds=100))
    assert ours.get("/api/Status").headers["Retry-After"] == "200"


def test_a_throttle_fault_strikes_the_client_local_too():
    halo = create_halo()
    http = sign_in(halo)
    http.put("/_faults", json=[{"match": {"method": "GET", "path": "/api/Status"}, "fault": "throttle", "retry_after": 7}])
    refused = http.get("/api/Status")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert http.get("/api/Status").status_code == 200


def test_switches_change_at_run_time_without_a_token_and_mistakes_are_explained():
    http = anonymous(create_halo())
    assert http.put("/_switches", json={"roles_mode": "add"}).json()["roles_mode"] == "add"
    for wrong in ({"roles_mode": "sideways"}, {"nothing": 1}, {"rate_limit": "many"}, {"strict": True}):
        answer = http.put("/_switches", json=wrong)
        assert answer.status_code == 400
        assert next(iter(wrong)) in answer.json()["error"]
    assert http.put("/_switches", content=b"[").status_code == 400
    assert http.get("/_switches").json()["roles_mode"] == "add"
    with pytest.raises(ValueError, match="no switch"):
        create_halo(nothing=True)


def test_calls_are_listed_and_the_halo_faults_are_known():
    http = sign_in(create_halo())
    http.delete("/_calls")
    http.get("/api/Status", params={"showall": "true"})
    (call,) = http.get("/_calls").json()
    assert (call["method"], call["path"], call["status"]) == ("GET", "/api/Status", 200)
    kinds = ("index_lag", "drop_webhook", "duplicate_webhook", "role_change_ignored", "write_ignored")
    assert http.put("/_faults", json=[{"match": {}, "fault": kind} for kind in kinds]).status_code == 200
