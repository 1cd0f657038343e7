"""The door that all stand-ins share: its own routes, and faults as a client over a real connection meets them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import flask
import httpx
import pytest

from joinery.serving import Served, serve
from simulators.clock import SimClock
from simulators.door import ConnectionDropped, Door
from simulators.faults import FaultBook
from simulators.state import StateFile


class World:
    """A little stand-in: POST /notes stores a text, GET /notes lists them."""

    def __init__(self, path: Path | None) -> None:
        self.state = StateFile(path)
        app = flask.Flask("notes")
        app.add_url_rule("/notes", view_func=self.notes, methods=["GET", "POST"])
        self.clock = SimClock()
        self.door = Door(app, self.state, self.clock, FaultBook(frozenset({"drop"})), throttled={"error": "busy"})
        self.client = httpx.Client(transport=httpx.WSGITransport(app=self.door), base_url="http://sim")

    def notes(self) -> flask.typing.ResponseReturnValue:
        if flask.request.method == "GET":
            return flask.jsonify([note["text"] for note in self.state.all("note")])
        with self.state.transaction():
            number = self.state.next("note")
            self.state.put("note", str(number), {"text": flask.request.get_data(as_text=True)})
        return {"id": number}, 201

    def fault(self, **rule: object) -> None:
        assert self.client.put("/_faults", json=[{"match": {"path": "/notes"}, **rule}]).status_code == 200


@pytest.fixture
def world() -> World:
    return World(None)


@pytest.fixture
def served(world: World) -> Iterator[Served]:
    world.door.start()
    server = serve(world.door)
    yield server
    world.door.stop()
    server.close()


def test_the_door_passes_calls_through_and_logs_them(world: World) -> None:
    assert world.client.post("/notes", content="one").status_code == 201
    assert world.client.get("/notes?a=b c").json() == ["one"]
    assert world.client.get("/nowhere").status_code == 404
    calls = world.client.get("/_calls").json()
    assert [(call["method"], call["path"], call["status"]) for call in calls] == [
        ("POST", "/notes", 201),
        ("GET", "/notes", 200),
        ("GET", "/nowhere", 404),
    ]
    assert all(call["ms"] >= 0 for call in calls)
    assert world.client.delete("/_calls").status_code == 204
    assert world.client.get("/_calls").json() == []


def test_a_lost_response_was_done_and_a_lost_request_was_not(world: World) -> None:
    world.fault(fault="lost_response")
    with pytest.raises(ConnectionDropped):
        world.client.post("/notes", content="done")
    world.fault(fault="lost_request")
    with pytest.raises(ConnectionDropped):
        world.client.post("/notes", content="never")
    assert world.client.get("/notes").json() == ["done"]
    assert [call["status"] for call in world.client.get("/_calls").json()] == [None, None, 200]


@pytest.mark.servers
def test_a_client_of_a_dropped_connection_gets_no_byte_of_an_answer(world: World, served: Served) -> None:
    world.fault(fault="lost_response", match={"method": "POST", "path": "/notes"})
    with httpx.Client(base_url=served.url) as client:
        client.get("/notes")
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            client.post("/notes", content="done")
        assert client.get("/notes").json() == ["done"]


@pytest.mark.servers
def test_a_request_lands_after_its_client_was_cut_off(world: World, served: Served) -> None:
    world.fault(fault="lands_late", delay=0.1)
    with httpx.Client(base_url=served.url) as client:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            client.post("/notes", content="late")
        deadline = time.monotonic() + 10
        while client.get("/notes").json() != ["late"] and time.monotonic() < deadline:
            time.sleep(0.02)
        assert client.get("/notes").json() == ["late"]


def test_a_late_request_survives_a_restart_and_lands_once(tmp_path: Path) -> None:
    first = World(tmp_path / "world.db")
    first.fault(fault="lands_late")
    with pytest.raises(ConnectionDropped):
        first.client.post("/notes", content="late")
    assert first.client.get("/notes").json() == []
    first.state.close()
    second = World(tmp_path / "world.db")
    assert second.door.late.land_due() == 1
    assert second.door.late.land_due() == 0
    assert second.client.get("/notes").json() == ["late"]


def test_a_late_request_that_is_not_due_stays(world: World) -> None:
    world.fault(fault="lands_late", delay=3600)
    with pytest.raises(ConnectionDropped):
        world.client.post("/notes", content="late")
    assert world.door.late.land_due() == 0


def test_status_answers_without_running_the_app(world: World) -> None:
    world.fault(fault="status", status=503, headers={"Retry-After": "3"}, body={"error": "down"})
    answer = world.client.post("/notes", content="never")
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()) == (503, "3", {"error": "down"})
    world.fault(fault="status", status=502, body="<html>bad gateway</html>", headers={"Content-Type": "text/html"})
    answer = world.client.get("/notes")
    assert (answer.text, answer.headers["Content-Type"]) == ("<html>bad gateway</html>", "text/html")
    assert world.client.get("/notes").json() == []


def test_throttle_answers_429_with_and_without_retry_after(world: World) -> None:
    world.fault(fault="throttle", retry_after=7)
    answer = world.client.get("/notes")
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()) == (429, "7", {"error": "busy"})
    world.fault(fault="throttle")
    assert "Retry-After" not in world.client.get("/notes").headers


def test_slow_answers_late_but_answers(world: World) -> None:
    world.fault(fault="slow", delay=0.01)
    assert world.client.post("/notes", content="slow").status_code == 201


def test_repeated_slashes_match_a_rule_too(world: World) -> None:
    world.fault(fault="throttle")
    assert world.client.get("http://sim//notes").status_code == 429


def test_faults_are_listed_with_what_remains_and_forgotten(world: World) -> None:
    world.fault(fault="throttle", times=3)
    world.client.get("/notes")
    assert world.client.get("/_faults").json()[0]["times"] == 2
    assert world.client.delete("/_faults").status_code == 204
    assert world.client.get("/_faults").json() == []


def test_a_wrong_fault_or_body_is_a_400_with_a_sentence(world: World) -> None:
    told = world.client.put("/_faults", json=[{"match": {}, "fault": "boom"}])
    assert told.status_code == 400 and "lost_response" in told.json()["error"]
    assert world.client.put("/_faults", content=b"{").status_code == 400
    assert world.client.put("/_faults", content=b"[" * 100_000).status_code == 400


def test_the_clock_moves_runs_on_pins_and_comes_back(world: World) -> None:
    assert world.client.put("/_clock", json={"now": "2030-01-02T03:04:05Z"}).status_code == 200
    first = world.clock.now()
    assert datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC) <= first < datetime(2030, 1, 2, 3, 5, tzinfo=UTC)
    assert world.clock.now() > first
    world.client.put("/_clock", json={"now": "2030-01-02T03:04:05Z", "frozen": True})
    assert world.clock.now() == world.clock.now() == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert world.client.get("/_clock").json() == {"now": "2030-01-02T03:04:05Z", "frozen": True}
    world.client.put("/_clock", json={"now": None})
    assert abs(world.clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "body",
    [{}, {"now": 3}, {"now": "soon"}, {"now": "0001-01-01T00:00:00+14:00"}, {"now": None, "frozen": 1}, [], {"now": None, "zone": 1}],
)
def test_a_wrong_clock_setting_is_a_400(world: World, body: object) -> None:
    assert world.client.put("/_clock", json=body).status_code == 400


def test_the_clock_setting_survives_a_restart(tmp_path: Path) -> None:
    first = World(tmp_path / "world.db")
    first.client.put("/_clock", json={"now": "2030-01-02T03:04:05Z", "frozen": True})
    first.state.close()
    assert World(tmp_path / "world.db").clock.now() == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_own_routes_are_not_struck_and_not_logged(world: World) -> None:
    world.client.put("/_faults", json=[{"match": {}, "fault": "lost_request", "times": None}])
    assert world.client.get("/_clock").status_code == 200
    assert world.client.get("/_calls").json() == []
    assert world.client.get("/_other").status_code == 404


@pytest.mark.servers
def test_a_closed_server_frees_its_port_even_with_a_client_connected(world: World) -> None:
    first = serve(world.door)
    with httpx.Client(base_url=first.url) as client:
        client.get("/notes")
        first.close()
        first.close()
    second = serve(world.door, port=first.port)
    assert second.url == first.url
    assert httpx.get(second.url + "/notes").status_code == 200
    second.close()
