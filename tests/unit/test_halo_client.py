"""One call to Halo: token, deadline, repeats, and what broken answers become."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from adapters.halo.answers import NotThere
from adapters.halo.client import HaloClient
from adapters.system import SystemClock
from joinery.errors import OutcomeUnknown, Refused, TryLater

Handler = Callable[[httpx.Request], httpx.Response]


class StillClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        #: For how long the monotonic one stood still while the machine slept.
        self.slept = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 9, 0, tzinfo=UTC) + timedelta(seconds=self.seconds - 1000 + self.slept)

    def monotonic(self) -> float:
        return self.seconds


class World:
    """Token endpoint and one route, scripted; counts what arrives."""

    def __init__(self, *answers: httpx.Response | Exception, lifetime: object = 3600) -> None:
        self.clock = StillClock()
        self.answers = list(answers)
        self.lifetime = lifetime
        self.tokens: list[httpx.Request] = []
        self.calls: list[httpx.Request] = []
        self.slept: list[float] = []
        self.token_answer: httpx.Response | None = None
        self.client = HaloClient(
            "http://halo.test/api",
            "http://halo.test/auth",
            "joinery",
            "very secret",
            tenant="contoso",
            transport=httpx.MockTransport(self._answer),
            clock=self.clock,
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.seconds += seconds

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            self.tokens.append(request)
            return self.token_answer or httpx.Response(200, json={"access_token": f"t{len(self.tokens)}", "expires_in": self.lifetime})
        self.calls.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def post(self, **row: object) -> dict[str, object]:
        return self.client.post("/Tickets", row or {"summary": "x"}, deadline=self.client.deadline(timedelta(seconds=10)))


def ok(**row: object) -> httpx.Response:
    return httpx.Response(201, json={"id": 7, **row})


def test_a_write_is_one_request_with_an_array_of_one() -> None:
    world = World(ok())
    assert world.post(summary="café ☕") == {"id": 7}
    (call,) = world.calls
    assert json.loads(call.content) == [{"summary": "café ☕"}]
    assert call.headers["content-type"] == "application/json"
    assert call.headers["authorization"] == "Bearer t1"


def test_the_token_request_is_a_form_with_the_tenant_in_the_query() -> None:
    world = World(ok())
    world.post()
    (request,) = world.tokens
    assert str(request.url) == "http://halo.test/auth/token?tenant=contoso"
    assert b"grant_type=client_credentials" in request.content
    assert b"scope=all" in request.content


def test_a_token_serves_until_shortly_before_its_end() -> None:
    world = World(ok(), lifetime=3600)
    world.post()
    world.clock.seconds += 3500
    world.post()
    assert len(world.tokens) == 1
    world.clock.seconds += 50
    world.post()
    assert len(world.tokens) == 2


@pytest.mark.parametrize("lifetime", [None, "soon", 3600, "3600"])
def test_a_lifetime_that_says_nothing_is_an_hour(lifetime: object) -> None:
    world = World(ok(), lifetime=lifetime)
    world.post()
    world.clock.seconds += 3000
    world.post()
    assert len(world.tokens) == 1


def test_a_401_brings_a_fresh_token_once_even_for_a_write() -> None:
    world = World(httpx.Response(401), ok())
    assert world.post()["id"] == 7
    assert [call.headers["authorization"] for call in world.calls] == ["Bearer t1", "Bearer t2"]


def test_a_second_401_is_a_refusal() -> None:
    world = World(httpx.Response(401))
    with pytest.raises(Refused):
        world.post()
    assert (len(world.calls), len(world.tokens)) == (2, 2)


def test_many_threads_fetch_one_token() -> None:
    world = World(ok())
    threads = [threading.Thread(target=world.post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(world.tokens), len(world.calls)) == (1, 8)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401, json={"error": "invalid_client"}), Refused),
        (httpx.Response(400, json={"error": "invalid_scope"}), Refused),
        (httpx.Response(200, json={"token": "?"}), Refused),
        (httpx.Response(500), TryLater),
        (httpx.Response(429, headers={"retry-after": "3"}), TryLater),
        (httpx.Response(200, text="<html>"), TryLater),
    ],
)
def test_without_a_token_nothing_is_sent_and_the_secret_is_not_told(answer: httpx.Response, error: type[Exception]) -> None:
    world = World(ok())
    world.token_answer = answer
    with pytest.raises(error) as caught:
        world.post()
    assert world.calls == []
    assert "very secret" not in str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_write_is_never_repeated(status: int) -> None:
    world = World(httpx.Response(status), ok())
    with pytest.raises(OutcomeUnknown):
        world.post()
    assert len(world.calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200),
        httpx.Response(200, text="<html>hello</html>"),
        httpx.Response(201, text='{"id": 7, "summ'),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"summary": "x"}),
        httpx.Response(200, json={"id": None}),
        httpx.Response(200, text="[" * 100_000),
        httpx.RemoteProtocolError("cut"),
        httpx.ReadTimeout("late"),
    ],
)
def test_a_write_whose_answer_cannot_be_read_has_an_unknown_outcome(answer: httpx.Response | Exception) -> None:
    with pytest.raises(OutcomeUnknown):
        World(answer).post()


@pytest.mark.parametrize("answer", [httpx.Response(200), httpx.Response(204), httpx.Response(200, json={"seq": 1})])
def test_a_removal_is_one_request_without_a_body_and_any_yes_is_enough(answer: httpx.Response) -> None:
    world = World(answer)
    world.client.delete("/TicketApproval/7&1", deadline=world.client.deadline())
    [request] = world.calls
    assert (request.method, request.url.path, request.content) == ("DELETE", "/api/TicketApproval/7&1", b"")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404), NotThere),
        (httpx.Response(403), Refused),
        (httpx.Response(503), OutcomeUnknown),
        (httpx.Response(200, text="<html>"), OutcomeUnknown),
        (httpx.ReadError("cut"), OutcomeUnknown),
        (httpx.ConnectError("no"), TryLater),
    ],
)
def test_a_removal_is_judged_as_a_write_and_never_repeated(answer: httpx.Response | Exception, error: type[Exception]) -> None:
    world = World(answer)
    with pytest.raises(error):
        world.client.delete("/TicketApproval/7&1", deadline=world.client.deadline())
    assert len(world.calls) == 1


def test_an_update_that_answers_with_another_object_has_an_unknown_outcome() -> None:
    with pytest.raises(OutcomeUnknown):
        World(ok()).post(id=8, summary="x")
    assert World(ok()).post(id=7, summary="x")["id"] == 7


def test_an_answer_of_several_rows_means_the_last() -> None:
    assert World(httpx.Response(200, json=[{"id": 7}])).post() == {"id": 7}


@pytest.mark.parametrize("trouble", [httpx.Response(503), httpx.ConnectError("no"), httpx.RemoteProtocolError("cut")])
def test_a_read_is_repeated_shortly(trouble: httpx.Response | Exception) -> None:
    world = World(trouble, httpx.Response(200, json={"id": 1}))
    assert world.client.get("/Tickets/1") == {"id": 1}
    assert len(world.slept) == 1


def test_a_read_gives_up_after_three_tries_and_not_after_an_answer_that_will_not_change() -> None:
    world = World(httpx.Response(503))
    with pytest.raises(TryLater):
        world.client.get("/Tickets/1")
    assert len(world.calls) == 3
    for status in (400, 403, 404, 429, 500):
        world = World(httpx.Response(status))
        with pytest.raises((TryLater, Refused)):
            world.client.get("/Tickets/1")
        assert len(world.calls) == 1


def test_repeats_stay_within_the_deadline() -> None:
    world = World(httpx.Response(503))
    with pytest.raises(TryLater):
        world.client.get("/Tickets/1", deadline=world.client.deadline(timedelta(seconds=0.1)))
    assert (len(world.calls), world.slept) == (1, [])


def test_a_write_whose_time_is_used_up_is_not_sent() -> None:
    world = World(ok())
    deadline = world.client.deadline(timedelta(seconds=10))
    world.clock.seconds += 10
    with pytest.raises(TryLater):
        world.client.post("/Tickets", {"summary": "x"}, deadline=deadline)
    assert world.calls == []


def test_a_write_is_not_sent_after_the_machine_slept_past_its_moment() -> None:
    world = World(ok())
    deadline = world.client.deadline(timedelta(seconds=10))
    world.clock.slept = 10
    with pytest.raises(TryLater):
        world.client.post("/Tickets", {"summary": "x"}, deadline=deadline)
    assert world.calls == []


def test_a_redirect_is_not_followed() -> None:
    world = World(httpx.Response(302, headers={"location": "http://elsewhere.test/"}))
    with pytest.raises(Refused):
        world.client.get("/Tickets/1")
    assert len(world.calls) == 1


def test_no_address_and_no_secret_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    world = World(httpx.Response(403))
    with caplog.at_level(logging.INFO), pytest.raises(Refused):
        world.client.get("/Users", {"search": "alex.example@contoso.com"})
    assert caplog.records
    told = " ".join(str(record.__dict__) for record in caplog.records)
    assert "alex.example" not in told
    assert "secret" not in told


def test_a_ticket_opens_on_the_host_without_the_api() -> None:
    assert World(ok()).client.ticket_url(12) == "http://halo.test/ticket?id=12"


# --- real sockets ---

TOKEN = b'{"access_token":"t","expires_in":3600}'


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers the token request well and hands every other connection's request to ``serve``."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []
    threads: list[threading.Thread] = []

    def talk(connection: socket.socket) -> None:
        with connection:
            while True:
                data = b""
                while b"\r\n\r\n" not in data:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    data += piece
                if data.startswith(b"POST /auth/token"):
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(TOKEN) + TOKEN
                    )
                    continue
                heard.append(data)
                serve(connection)
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=talk, args=(connection,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [acceptor, *threads]:
            thread.join(5)


def real_client(url: str) -> HaloClient:
    return HaloClient(f"{url}/api", f"{url}/auth", "joinery", "local", clock=SystemClock())


def trickle(before: bytes, cut: threading.Event) -> Callable[[socket.socket], None]:
    """Send ``before``, then a byte at a time for ever; set ``cut`` when the client closes."""

    def serve(connection: socket.socket) -> None:
        connection.settimeout(0.02)
        try:
            connection.sendall(before)
            while True:
                connection.sendall(b"x")
                try:
                    if connection.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
        except OSError:
            pass
        cut.set()

    return serve


@pytest.mark.servers
@pytest.mark.parametrize(
    "before",
    [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"],
    ids=["headers", "body"],
)
def test_an_answer_that_trickles_in_is_cut_at_the_total_deadline(before: bytes) -> None:
    cut = threading.Event()
    with raw_server(trickle(before, cut)) as (url, heard):
        client = real_client(url)
        with pytest.raises(OutcomeUnknown):
            client.post("/Tickets", {"summary": "x"}, deadline=client.deadline(timedelta(seconds=0.5)))
        assert cut.wait(5), "the socket was left open"
        assert len(heard) == 1


@pytest.mark.servers
def test_a_connection_lost_after_sending_is_unknown_and_one_that_was_refused_is_not() -> None:
    with raw_server(lambda connection: None) as (url, heard):
        client = real_client(url)
        with pytest.raises(OutcomeUnknown):
            client.post("/Tickets", {"summary": "x"}, deadline=client.deadline(timedelta(seconds=5)))
        assert len(heard) == 1
    with pytest.raises(TryLater):
        client.post("/Tickets", {"summary": "x"}, deadline=client.deadline(timedelta(seconds=5)))
    client.close()


@pytest.mark.servers
def test_a_real_answer_comes_through() -> None:
    def serve(connection: socket.socket) -> None:
        # The body may have come in one piece with the headers, or come now.
        if heard[-1].endswith(b"\r\n\r\n"):
            connection.recv(65536)
        connection.sendall(b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"id":7}')

    with raw_server(serve) as (url, heard):
        client = real_client(url)
        assert client.post("/Tickets", {"summary": "x" * 1000}, deadline=client.deadline(timedelta(seconds=5))) == {"id": 7}
        assert len(heard) == 1
        client.close()
