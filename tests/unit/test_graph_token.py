"""Tokens are fetched once, shared, renewed in time, and never shown."""

from __future__ import annotations

import threading
from collections.abc import Callable
from urllib.parse import parse_qs

import httpx
import pytest

from adapters.graph.token import ClientCredentials
from joinery.engine.memory import FakeClock
from joinery.errors import Refused, TryLater


class TokenEndpoint:
    """Grants ``token-1``, ``token-2``, … unless ``answer`` says otherwise."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: Callable[[httpx.Request], httpx.Response] | None = None
        self.expires_in: object = 3600

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.answer:
            return self.answer(request)
        return httpx.Response(
            200, json={"access_token": f"token-{len(self.requests)}", "expires_in": self.expires_in, "token_type": "Bearer"}
        )


def source(endpoint: TokenEndpoint, clock: FakeClock) -> ClientCredentials:
    return ClientCredentials(
        authority="https://login.example/",
        tenant="t-1",
        client_id="app",
        client_secret="s3cret",
        scope="https://graph.example/.default",
        transport=httpx.MockTransport(endpoint),
        clock=clock,
    )


def test_a_token_is_asked_for_with_client_credentials_and_kept_until_near_its_end() -> None:
    endpoint, clock = TokenEndpoint(), FakeClock()
    tokens = source(endpoint, clock)
    assert tokens.token() == tokens.token() == "token-1"
    (request,) = endpoint.requests
    assert str(request.url) == "https://login.example/t-1/oauth2/v2.0/token"
    assert parse_qs(request.content.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["app"],
        "client_secret": ["s3cret"],
        "scope": ["https://graph.example/.default"],
    }
    clock.advance(seconds=3600 - 301)
    assert tokens.token() == "token-1"
    clock.advance(seconds=2)
    assert tokens.token() == "token-2"


def test_a_short_lived_token_is_used_for_half_its_life() -> None:
    endpoint, clock = TokenEndpoint(), FakeClock()
    endpoint.expires_in = "60"
    tokens = source(endpoint, clock)
    tokens.token()
    clock.advance(seconds=29)
    assert tokens.token() == "token-1"
    clock.advance(seconds=2)
    assert tokens.token() == "token-2"


def test_a_token_near_its_end_serves_on_while_the_endpoint_is_down() -> None:
    endpoint, clock = TokenEndpoint(), FakeClock()
    tokens = source(endpoint, clock)
    tokens.token()
    endpoint.answer = lambda _: httpx.Response(503)
    clock.advance(seconds=3400)
    assert tokens.token() == "token-1"
    clock.advance(seconds=300)
    with pytest.raises(TryLater):
        tokens.token()


def test_threads_that_were_refused_together_cause_one_fetch() -> None:
    endpoint, clock = TokenEndpoint(), FakeClock()
    tokens = source(endpoint, clock)
    rejected = tokens.token()
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(tokens.refresh(rejected))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["token-2"] * 8
    assert len(endpoint.requests) == 2


def test_refresh_without_a_rejected_token_always_fetches() -> None:
    endpoint = TokenEndpoint()
    tokens = source(endpoint, FakeClock())
    assert [tokens.token(), tokens.refresh(), tokens.refresh()] == ["token-1", "token-2", "token-3"]


def test_wrong_credentials_are_refused_with_a_remedy_and_without_the_secret() -> None:
    endpoint = TokenEndpoint()
    endpoint.answer = lambda _: httpx.Response(
        401, json={"error": "invalid_client", "error_description": "AADSTS7000215: s3cret is wrong", "error_codes": [7000215]}
    )
    tokens = source(endpoint, FakeClock())
    with pytest.raises(Refused, match=r"invalid_client, AADSTS7000215.*client secret") as caught:
        tokens.token()
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(tokens)


@pytest.mark.parametrize("answer", [httpx.Response(400, text="<html>"), httpx.Response(302, headers={"Location": "https://evil.example"})])
def test_an_odd_no_is_refused(answer: httpx.Response) -> None:
    endpoint = TokenEndpoint()
    endpoint.answer = lambda _: answer
    with pytest.raises(Refused):
        source(endpoint, FakeClock()).token()
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"access_token": 3}',
        b'{"access_token": "a\\nb"}',
        b'{"access_token": ""}',
        b'{"access_token":"x","expires_in":"soon"}',
        b"[" * 9999,
    ],
)
def test_a_good_status_without_a_token_is_for_later(body: bytes) -> None:
    endpoint = TokenEndpoint()
    endpoint.answer = lambda _: httpx.Response(200, content=body)
    with pytest.raises(TryLater):
        source(endpoint, FakeClock()).token()


def test_a_busy_endpoint_names_its_pause() -> None:
    endpoint = TokenEndpoint()
    endpoint.answer = lambda _: httpx.Response(429, headers={"Retry-After": "9"})
    with pytest.raises(TryLater) as caught:
        source(endpoint, FakeClock()).token()
    assert caught.value.after is not None
    assert caught.value.after.total_seconds() == 9


def test_an_endpoint_that_cannot_be_reached_is_for_later() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    endpoint = TokenEndpoint()
    endpoint.answer = gone
    with pytest.raises(TryLater):
        source(endpoint, FakeClock()).token()
