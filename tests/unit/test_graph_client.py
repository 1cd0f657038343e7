"""One call to Graph: tokens, repeats, deadlines, and never an address that is not Graph's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import httpx
import msgspec
import pytest

from adapters.graph.answers import Asking, NotThere
from adapters.graph.client import GraphClient
from joinery.engine.memory import FakeClock
from joinery.engine.ports import LinkExpired
from joinery.errors import OutcomeUnknown, Refused, TryLater

ANY = msgspec.json.Decoder(dict[str, object])
Answer = Callable[[httpx.Request], httpx.Response]


class Tokens:
    """Hands out ``t-1`` and, when that is rejected, ``t-2`` and so on."""

    def __init__(self) -> None:
        self.number = 1

    def token(self) -> str:
        return f"t-{self.number}"

    def refresh(self, rejected: str | None = None) -> str:
        self.number += 1
        return self.token()


class Wire:
    """Answers in turn, the last one for ever; remembers what was asked and how long we paused."""

    def __init__(self, *answers: httpx.Response | Exception | Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []
        self.clock = FakeClock()
        self.client = GraphClient(
            "https://graph.example/v1.0", Tokens(), transport=httpx.MockTransport(self._answer), clock=self.clock, sleep=self._sleep
        )

    def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds=seconds)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)


def good(_: httpx.Request | None = None) -> httpx.Response:
    return httpx.Response(200, json={"ok": True})


def no(status: int, code: str = "", **headers: str) -> httpx.Response:
    content = msgspec.json.encode({"error": {"code": code, "message": "…"}}) if code else b"<html>"
    return httpx.Response(status, content=content, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_a_call_carries_the_token_and_an_id_of_its_own() -> None:
    wire = Wire(good)
    assert wire.client.read("GET", "/users", ANY) == {"ok": True}
    wire.client.read("GET", "/users", ANY)
    first, second = wire.requests
    assert str(first.url) == "https://graph.example/v1.0/users"
    assert first.headers["Authorization"] == "Bearer t-1"
    assert first.headers["client-request-id"] != second.headers["client-request-id"]


def test_a_401_is_answered_once_with_a_fresh_token() -> None:
    wire = Wire(no(401, "InvalidAuthenticationToken"), good)
    wire.client.read("GET", "/users", ANY)
    assert [request.headers["Authorization"] for request in wire.requests] == ["Bearer t-1", "Bearer t-2"]


def test_a_second_401_is_refused_and_says_what_to_check() -> None:
    wire = Wire(no(401, "InvalidAuthenticationToken"))
    with pytest.raises(Refused, match="consent"):
        wire.client.read("GET", "/users", ANY)
    assert len(wire.requests) == 2


def test_a_write_is_sent_again_after_a_401_because_nothing_was_done() -> None:
    wire = Wire(no(401), good)
    wire.client.write("PATCH", "/users/x", body={"a": 1})
    assert len(wire.requests) == 2


@pytest.mark.parametrize(
    "trouble", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x"), no(502), no(503), no(504)]
)
def test_a_read_is_repeated_after_trouble_that_passes(trouble: httpx.Response | Exception) -> None:
    wire = Wire(trouble, trouble, good)
    assert wire.client.read("GET", "/users", ANY) == {"ok": True}
    assert wire.pauses == [0.2, 0.4]


def test_after_a_429_that_names_no_pause_ours_is_longer_because_what_is_refused_counts_as_asked() -> None:
    wire = Wire(no(429), no(429), good)
    assert wire.client.read("GET", "/users", ANY) == {"ok": True}
    assert wire.pauses == [1.0, 2.0]


def test_a_short_retry_after_is_honoured() -> None:
    wire = Wire(no(429, Retry_After="3"), good)
    wire.client.read("GET", "/users", ANY)
    assert wire.pauses == [3.0]


def test_a_long_retry_after_is_handed_on_instead_of_slept() -> None:
    wire = Wire(no(429, Retry_After="120"))
    with pytest.raises(TryLater) as caught:
        wire.client.read("GET", "/users", ANY)
    assert caught.value.after is not None
    assert caught.value.after.total_seconds() == 120
    assert wire.pauses == []
    assert len(wire.requests) == 1


def test_repeats_end_after_four_tries() -> None:
    wire = Wire(no(503))
    with pytest.raises(TryLater):
        wire.client.read("GET", "/users", ANY)
    assert len(wire.requests) == 4


def test_repeats_stay_inside_one_total_deadline() -> None:
    wire = Wire(no(503, Retry_After="6"))
    with pytest.raises(TryLater):
        wire.client.read("GET", "/users", ANY)
    assert wire.pauses == [6.0, 6.0]


@pytest.mark.parametrize("status", [400, 403, 404, 409, 500, 501])
def test_other_answers_are_not_repeated(status: int) -> None:
    wire = Wire(no(status))
    with pytest.raises((TryLater, Refused)):
        wire.client.read("GET", "/users", ANY)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "trouble", [no(502), no(503), no(504), no(500), httpx.ReadTimeout("x"), httpx.ReadError("x"), httpx.WriteError("x")]
)
def test_a_write_is_never_repeated_and_its_outcome_is_unknown(trouble: httpx.Response | Exception) -> None:
    wire = Wire(trouble)
    with pytest.raises(OutcomeUnknown):
        wire.client.write("POST", "/groups/x/members/$ref", body={})
    assert len(wire.requests) == 1


@pytest.mark.parametrize("trouble", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x"), no(429)])
def test_a_write_that_was_not_taken_certainly_did_not_happen(trouble: httpx.Response | Exception) -> None:
    wire = Wire(trouble)
    with pytest.raises(TryLater):
        wire.client.write("POST", "/groups/x/members/$ref", body={})
    assert len(wire.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b'{"value": [', b"\xff\xfe", b"[]", b"null", b"[" * 50_000])
def test_a_good_status_without_json_is_for_later(body: bytes) -> None:
    wire = Wire(httpx.Response(200, content=body))
    with pytest.raises(TryLater):
        wire.client.read("GET", "/users", ANY)


def test_an_answer_that_trickles_in_is_cut_at_the_deadline() -> None:
    wire = Wire(good)

    def trickle() -> Iterator[bytes]:
        yield b"{"
        while True:
            wire.clock.advance(seconds=1)
            yield b" "

    wire.answers = [httpx.Response(200, content=trickle())]
    with pytest.raises(TryLater):
        wire.client.read("GET", "/users", ANY)
    assert wire.clock.monotonic() < 20


def test_an_answer_without_end_is_not_read_to_the_end() -> None:
    def flood() -> Iterator[bytes]:
        while True:
            yield b" " * (8 * 1024 * 1024)

    wire = Wire(lambda _: httpx.Response(200, content=flood()))
    with pytest.raises(TryLater):
        wire.client.read("GET", "/users", ANY)


def test_a_redirect_is_refused_and_not_followed() -> None:
    wire = Wire(httpx.Response(302, headers={"Location": "https://evil.example/"}))
    with pytest.raises(Refused, match="redirect"):
        wire.client.read("GET", "/users", ANY)
    assert len(wire.requests) == 1


def test_only_graphs_own_404_says_that_something_is_not_there() -> None:
    with pytest.raises(NotThere):
        Wire(no(404, "Request_ResourceNotFound")).client.read("GET", "/users/x", ANY)
    with pytest.raises(TryLater):
        Wire(no(404)).client.read("GET", "/users/x", ANY)


def test_a_410_for_a_link_says_that_it_expired() -> None:
    with pytest.raises(LinkExpired):
        Wire(no(410, Location="https://graph.example/v1.0/users/delta?$deltatoken=")).client.read("GET", "/x", ANY, asking=Asking.LINK)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/users/delta",
        "http://graph.example/v1.0/users/delta",
        "https://graph.example:8443/v1.0/users/delta",
        "https://graph.example.evil.example/v1.0/users",
        "https://graph.example@evil.example/v1.0/users",
        "https://user:pw@graph.example/v1.0/users",
        "https://evil.example\\@graph.example/v1.0/users",
        "https://evil.example#@graph.example/v1.0/users",
        "//evil.example/v1.0/users",
        "file:///etc/passwd",
        "https://graph.example/beta/users",
        "https://graph.example/v1.0/../admin",
        "https://graph.example/v1.0",
        "https://graph.example:99999999/v1.0/users",
        "https://[graph.example/v1.0/users",
        "https://graph.example/v1.0/us ers\r\nHost: evil.example",
        "https://gräph.example/v1.0/users",
        "/users",
        "",
    ],
)
def test_a_link_to_anywhere_else_is_refused(link: str) -> None:
    wire = Wire(good)
    with pytest.raises(Refused):
        wire.client.relative(link)
    assert wire.requests == []


@pytest.mark.parametrize("root", ["https://graph.example", "https://GRAPH.example:443", "HTTPS://graph.example"])
def test_a_link_of_graphs_own_is_kept_relative_and_letter_by_letter(root: str) -> None:
    wire = Wire(good)
    path = "/users/delta?$deltatoken=aB%2Fc%3D_-~.&x='y'"
    assert wire.client.relative(f"{root}/v1.0{path}") == path
    wire.client.read("GET", path, ANY)
    assert wire.requests[0].url.host == "graph.example"
    assert b"$deltatoken=aB%2Fc%3D_-~." in wire.requests[0].url.raw_path


@pytest.mark.parametrize("base_url", ["graph.microsoft.com/v1.0", "ftp://x/v1.0", "https:///v1.0", "https://x/v1.0?a=b"])
def test_a_base_address_that_is_none_is_a_mistake_of_ours(base_url: str) -> None:
    with pytest.raises(ValueError, match="should look like"):
        GraphClient(base_url, Tokens())


def test_the_log_has_ids_and_status_and_no_query(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(lambda _: httpx.Response(200, json={}, headers={"request-id": "r-1"}))
    with caplog.at_level(logging.DEBUG, logger="adapters.graph"):
        wire.client.read("GET", "/groups?$filter=displayName eq 'Secret project'", ANY)
    (record,) = [record for record in caplog.records if record.name == "adapters.graph.client"]
    assert (record.status, record.request_id, record.path) == (200, "r-1", "/groups")  # type: ignore[attr-defined]
    assert record.client_request_id == wire.requests[0].headers["client-request-id"]  # type: ignore[attr-defined]
    assert "Secret" not in str(record.__dict__)
    assert "t-1" not in str(record.__dict__)


@pytest.mark.parametrize("answer", [no(429), no(503), no(403), no(401)])
def test_trouble_is_logged_with_both_ids_that_support_asks_for(answer: httpx.Response, caplog: pytest.LogCaptureFixture) -> None:
    answer.headers["request-id"] = "r-1"
    wire = Wire(answer)
    with caplog.at_level(logging.WARNING), pytest.raises((TryLater, Refused)) as caught:
        wire.client.read("GET", "/users?$filter=mail eq 'ann'", ANY)
    last = caplog.records[-1].__dict__
    assert (last["path"], last["status"], last["request_id"]) == ("/users", answer.status_code, "r-1")
    assert last["client_request_id"] == wire.requests[-1].headers["client-request-id"]
    assert last["client_request_id"] in str(caught.value)
