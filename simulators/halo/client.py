"""A signed-in HTTP client for whoever drives the pretend Halo: tests, the played day, a benchmark."""

from __future__ import annotations

import httpx

from simulators.halo.app import PretendHalo


def sign_in(halo: PretendHalo | str, *, client: str = "local", username: str | None = None) -> httpx.Client:
    """An httpx client with a token, in process or for a URL. With `username` (a mail) it acts as that user or agent.

    Raises httpx.HTTPStatusError when the sign-in is refused. The token lasts an hour and is not renewed.
    """
    form = {"client_id": client, "client_secret": "local", "scope": "all"}
    if username is None:
        form["grant_type"] = "client_credentials"
    else:
        form |= {"grant_type": "password", "username": username, "password": "local"}
    with _client(halo) as asking:
        token = asking.post("/auth/token", data=form).raise_for_status().json()["access_token"]
    http = _client(halo)
    http.headers["Authorization"] = f"Bearer {token}"
    return http


def _client(halo: PretendHalo | str) -> httpx.Client:
    if isinstance(halo, str):
        return httpx.Client(base_url=halo, trust_env=False)
    return httpx.Client(base_url="http://halo.test", transport=httpx.WSGITransport(app=halo.wsgi))
