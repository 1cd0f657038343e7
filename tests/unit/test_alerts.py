"""Alerts: one cause, one ticket; told outside when the desk is what is down; never lost, never doubled, never about themselves."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from adapters.graph.answers import Asking, error_for
from adapters.webhooks.alerts import AlertWebhook
from joinery.domain.policy import DeskPolicy, Policy, TicketPolicy
from joinery.domain.tickets import OpenTicket, RetireAgent
from joinery.engine.alerts import Cause, causes
from joinery.engine.envelope import EnvelopeKind, person_subject
from joinery.engine.memory import DEFAULT_START
from joinery.errors import OutcomeUnknown, Refused, TryLater
from joinery.testing import TENANT, World, everyone, person


class Ear:
    """An alert sink that remembers."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def tell(self, *, cause: str, about: str, at: datetime) -> None:
        self.heard.append(cause)


def world_with_alerts(**more: object) -> tuple[World, Ear]:
    tickets = {**DeskPolicy().tickets, "alert": TicketPolicy(ticket_type="Incident", team="Service Desk")}
    ear = Ear()
    return World(replace(everyone(), desk=DeskPolicy(tickets=tickets)), alerts=ear, **more), ear  # type: ignore[arg-type]


def staff(world: World, *names: str) -> None:
    """People who have worked here for long."""
    for name in names:
        world.put(person(name, groups=("ITSM-NewJoiner",)))
        world.look(name)
    world.pass_time(hours=1)


def leave(world: World, *names: str) -> None:
    for name in names:
        world.directory.change(name, account_enabled=False)
        world.look(name)


def alert_tickets(world: World) -> list[str]:
    return [ticket.summary.partition(" [")[0] for ticket in world.desk.tickets if ticket.kind == "alert"]


def known(world: World) -> list[Cause]:
    return list(causes(world.store, TENANT))


def refuse_agents(world: World, times: int = 400) -> None:
    world.desk.fail(Refused("the API application may not change agents"), asks=RetireAgent, times=times)


def test_one_cause_opens_one_ticket_however_many_it_hits() -> None:
    world, ear = world_with_alerts()
    staff(world, "ada", "bob", "cyd")
    refuse_agents(world)
    leave(world, "ada", "bob", "cyd")
    world.pass_time(hours=1)
    said = "refused: the API application may not change agents"
    assert alert_tickets(world) == [f"Joinery needs a person: {said}"]
    assert ear.heard == [said]
    [cause] = known(world)
    assert cause.count == 3 and [about.partition("#")[0] for about in cause.about] == ["person:ada", "person:bob", "person:cyd"]


def test_the_ticket_says_where_to_look_and_names_nobody() -> None:
    world, _ = world_with_alerts()
    staff(world, "ada")
    refuse_agents(world)
    leave(world, "ada")
    world.pass_time(minutes=1)
    [ticket] = [ticket for ticket in world.desk.tickets if ticket.kind == "alert"]
    assert "joinery audit show --person ada" in ticket.details
    assert "Ada" not in ticket.details and "@" not in ticket.details and ticket.user_id is None


def test_a_cause_that_was_quiet_for_a_day_opens_a_new_ticket_and_one_that_was_not_does_not() -> None:
    world, ear = world_with_alerts()
    staff(world, "ada", "bob", "cyd")
    refuse_agents(world, 1)
    leave(world, "ada")
    world.pass_time(hours=23)
    refuse_agents(world, 1)
    leave(world, "bob")
    world.pass_time(hours=25)
    assert len(alert_tickets(world)) == 1
    refuse_agents(world, 1)
    leave(world, "cyd")
    world.pass_time(minutes=5)
    assert len(alert_tickets(world)) == 2 and len(ear.heard) == 2


def test_the_same_envelope_again_is_counted_once() -> None:
    world, _ = world_with_alerts()
    staff(world, "ada")
    refuse_agents(world)
    leave(world, "ada")
    world.pass_time(minutes=1)
    told = [message for message in world.queue.sent if message.session_id == f"{TENANT}|alerts" and b'"kind":"alert"' in message.body]
    world.queue.send(told * 3)
    world.work()
    assert [cause.count for cause in known(world)] == [1] and len(alert_tickets(world)) == 1


def test_an_alert_is_told_outside_though_the_desk_is_down_and_its_ticket_follows() -> None:
    world, ear = world_with_alerts()
    staff(world, "ada")
    refuse_agents(world)
    leave(world, "ada")
    world.desk.fail(TryLater("down"), asks=OpenTicket, times=8)
    world.pass_time(minutes=1)
    assert len(ear.heard) == 1
    world.pass_time(hours=3)
    assert len(alert_tickets(world)) == 1


def test_an_alerts_ticket_whose_answer_was_lost_is_found_and_not_opened_twice() -> None:
    world, _ = world_with_alerts()
    world.app._alert("something is wrong", about="test#1")
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket, after_effect=True)
    world.pass_time(hours=1)
    assert alert_tickets(world) == ["Joinery needs a person: something is wrong"]


def test_an_alert_that_the_bus_did_not_take_is_sent_by_the_next_message_or_the_tick() -> None:
    world, ear = world_with_alerts()
    staff(world, "ada")
    refuse_agents(world)
    world.directory.change("ada", account_enabled=False)
    world.queue_up(person_subject("ada"), EnvelopeKind.LOOK)
    [message] = world.queue.receive_due()
    world.queue.unavailable = True
    world.app.handle(message.body)
    assert ear.heard == []
    world.queue.unavailable = False
    world.clock.advance(minutes=2)
    world.app.tick()
    world.work()
    assert len(ear.heard) == 1 and len(known(world)) == 1
    sent = len(world.queue.sent)
    for _ in range(3):
        world.clock.advance(minutes=1)
        world.app.tick()
        world.work()
    assert not any(b'"kind":"alert"' in message.body for message in world.queue.sent[sent:])


def test_trouble_with_an_alerts_own_ticket_raises_no_alert() -> None:
    world, ear = world_with_alerts()
    world.app._alert("something is wrong", about="test#1")
    world.desk.fail(Refused("no such ticket type"), asks=OpenTicket, times=1000)
    world.pass_time(hours=60)
    assert ear.heard == ["something is wrong"] and len(known(world)) == 1
    assert [str(view.run.status) for view in world.runs()] == ["failed"]


def test_a_cause_whose_ticket_was_given_up_opens_one_when_it_strikes_again_however_soon() -> None:
    world, ear = world_with_alerts()
    world.desk.fail(Refused("no such ticket type"), asks=OpenTicket, times=1000)
    for hour in range(60):
        world.app._alert("something is wrong", about=f"test#{hour}")
        world.pass_time(hours=1)
    assert alert_tickets(world) == []
    world.desk._troubles.clear()
    world.app._alert("something is wrong", about="test#60")
    world.pass_time(hours=1)
    world.app._alert("something is wrong", about="test#61")
    world.pass_time(hours=1)
    assert len(alert_tickets(world)) == 1
    assert ear.heard == ["something is wrong"] * 2


def test_without_a_kind_of_ticket_for_them_alerts_are_counted_and_told_all_the_same() -> None:
    ear = Ear()
    world = World(alerts=ear)
    world.app._alert("something is wrong", about="test#1")
    world.pass_time(minutes=1)
    assert ear.heard == ["something is wrong"] and [cause.run for cause in known(world)] == [None] and not world.desk.tickets
    assert world.app.health()[1]["alerts"] == 1
    world.pass_time(hours=25)
    assert world.app.health()[1]["alerts"] == 0


def test_what_is_parked_and_a_sweep_that_is_refused_are_alerts() -> None:
    ear = Ear()
    world = World(Policy(), alerts=ear)
    world.app.handle(b"rubbish")
    world.app.handle(b"other rubbish")
    world.directory.people_delta = refuse  # type: ignore[method-assign]
    for _ in range(3):
        with pytest.raises(Refused):
            world.app.sweep()
        world.pass_time(minutes=5)
    assert [cause.count for cause in known(world)] == [3, 2]
    assert ear.heard == [
        "a message was parked that nobody could handle; `joinery parked list` says which and why",
        "the directory refuses the sweep: User.Read.All is missing",
    ]


def refuse(link: str | None) -> None:
    raise Refused("User.Read.All is missing")


def test_what_names_its_own_call_each_time_is_one_cause_all_the_same() -> None:
    """As errors of the real adapter do. One a sweep would be a ticket every five minutes."""
    world, _ = world_with_alerts()

    def no(link: str | None) -> None:
        answer = {"code": "Authorization_RequestDenied", "message": "Insufficient privileges."}
        raise error_for(403, **answer, asking=Asking.READ, call_id=str(uuid.uuid4()))

    world.directory.people_delta = no  # type: ignore[method-assign, assignment]
    for _ in range(3):
        with pytest.raises(Refused):
            world.app.sweep()
        world.pass_time(minutes=5)
    assert [cause.count for cause in known(world)] == [3] and len(alert_tickets(world)) == 1


# --- the webhook


@pytest.mark.servers
@pytest.mark.parametrize("status", [200, 500])
def test_a_webhook_gets_one_post_and_nothing_it_answers_is_an_error(status: int) -> None:
    got: list[dict[str, str]] = []

    class Channel(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Channel)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        hook = AlertWebhook(f"http://127.0.0.1:{server.server_port}/hook/secret")
        hook.tell(cause="a cause", about="person:ada#1", at=DEFAULT_START + timedelta(seconds=1))
        hook.close()
    finally:
        server.shutdown()
        server.server_close()
    assert got == [
        {"text": "Joinery needs a person: a cause", "cause": "a cause", "about": "person:ada#1", "at": "2026-01-05T08:00:01.000000Z"}
    ]


def test_a_webhook_that_is_not_there_is_logged_without_its_address(caplog: pytest.LogCaptureFixture) -> None:
    hook = AlertWebhook("http://127.0.0.1:1/hook/secret")
    hook.tell(cause="a cause", about="person:ada#1", at=DEFAULT_START)
    hook.close()
    assert "alert webhook failed" in caplog.text and "secret" not in caplog.text
