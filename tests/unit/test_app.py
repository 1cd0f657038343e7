"""The one class that every door calls: intake, what is parked, dead letters, health."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, timedelta, tzinfo
from itertools import pairwise

import pytest

from joinery.engine.audit import AuditRecord, first_break
from joinery.engine.envelope import Envelope, EnvelopeKind, decode, person_subject
from joinery.engine.intake import Hint
from joinery.engine.ports import DeadLetter
from joinery.errors import OutcomeUnknown, Refused, TryLater
from joinery.testing import TENANT, World, person

ADA = person("ada", display_name="Ada Lovelace", mail="lovelace@contoso.example", groups=("ITSM-NewJoiner",))


def post(world: World, *hints: Hint, lifecycle: bool = False) -> int:
    world.intake.hints = hints
    return world.app.accept(b"{}", lifecycle=lifecycle).status


def envelope(**fields: object) -> Envelope:
    plain = {"tenant": TENANT, "subject": person_subject("ada"), "kind": EnvelopeKind.LOOK, "cause": "test", "at": World().clock.now()}
    return Envelope(**{**plain, **fields})  # type: ignore[arg-type]  # fields of Envelope


# --- intake ---


def test_a_genuine_notification_is_queued_before_it_is_acknowledged() -> None:
    world = World()
    assert post(world, Hint(genuine=True, about="person", id="ADA")) == 202
    [sent] = world.queue.sent
    assert (sent.session_id, decode(sent.body).subject) == ("local|person:ada", "person:ada")


def test_a_forged_notification_is_counted_and_nothing_is_queued() -> None:
    world = World()
    assert post(world, Hint(genuine=False, about="person", id="ada")) == 202
    assert world.queue.sent == []
    assert world.app.vitals.counters.dropped == {"wrong clientState": 1}


def test_if_the_queue_does_not_take_it_graph_is_told_to_send_it_again() -> None:
    world = World()
    world.queue.unavailable = True
    assert post(world, Hint(genuine=True, about="person", id="ada")) == 503


def test_many_notifications_about_one_person_in_one_post_are_one_look() -> None:
    world = World()
    assert post(world, *[Hint(genuine=True, about="person", id="ada")] * 50) == 202
    assert len(world.queue.sent) == 1


def test_members_of_several_notifications_are_joined_and_one_without_names_wins() -> None:
    world = World()
    group = "g-itsm-newjoiner"
    post(
        world, Hint(genuine=True, about="group", id=group, members=("a",)), Hint(genuine=True, about="group", id=group, members=("b", "a"))
    )
    assert decode(world.queue.sent[0].body).members == ("a", "b")
    post(world, Hint(genuine=True, about="group", id=group, members=("a",)), Hint(genuine=True, about="group", id=group))
    assert decode(world.queue.sent[1].body).members == ()
    many = tuple(f"m{number}" for number in range(15))
    post(world, Hint(genuine=True, about="group", id=group, members=many), Hint(genuine=True, about="group", id=group, members=("x",) * 6))
    assert len(world.queue.sent[2].body) < 2048


def test_a_body_that_is_refused_and_a_handshake() -> None:
    world = World()
    assert world.app.accept(b"").status == 400
    reply = world.app.accept(b"", validation_token="<b>hello</b>")
    assert (reply.status, reply.body, reply.content_type) == (200, "<b>hello</b>", "text/plain")
    assert world.app.accept(b"", validation_token="x" * 5000).status == 400


def test_a_lifecycle_event_renews_and_sweeps() -> None:
    world = World()
    world.put(ADA)
    assert post(world, Hint(genuine=True, about="lifecycle", id="missed"), lifecycle=True) == 202
    world.pass_time(minutes=20)
    assert [asked["renew"] for asked in world.subscriptions.asked] == [False] and len(world.desk.tickets) == 1


def test_whoever_is_asked_to_authorise_anew_renews_both_and_sweeps_nobody() -> None:
    """However far away their end is: the directory stops to notify otherwise."""
    world = World()
    assert post(world, Hint(genuine=True, about="lifecycle", id="reauthorizationRequired"), lifecycle=True) == 202
    world.work()
    assert [asked["renew"] for asked in world.subscriptions.asked] == [True]
    assert world.directory.calls["people_delta"] == 0


# --- what cannot be understood ---


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 10_000,
        b'{"version":2,"tenant":"local","subject":"person:ada","kind":"look","cause":"x","at":"2026-01-05T08:00:00Z"}',
        b'{"version":1,"tenant":"local","subject":"person:ada","kind":"dance","cause":"x","at":"2026-01-05T08:00:00Z"}',
        b'{"version":1,"tenant":"local","subject":"device:1","kind":"look","cause":"x","at":"2026-01-05T08:00:00Z"}',
        b'{"version":1,"tenant":"local","subject":"person:ada","kind":"look","cause":"x","at":"2026-01-05T08:00:00"}',
        envelope(subject="group:x").encode(),
        envelope(kind=EnvelopeKind.OPERATE).encode(),
        envelope(kind=EnvelopeKind.OPERATE, subject="alerts").encode(),
        envelope(tenant="another").encode(),
        envelope(tenant="a/b#c").encode(),
        envelope(subject="person:" + "x" * 65).encode(),
    ],
)
def test_a_message_that_nobody_understands_is_parked_once_with_a_reason_and_a_remedy(body: bytes) -> None:
    world = World()
    world.app.handle(body)
    [parked] = world.app.parking.listed()
    assert parked.reason and parked.remedy and len(parked.body) <= 16_000
    assert [decode(message.body).kind for message in world.queue.sent] == ["alert"] and world.store.partitions() == []


def test_dead_letters_that_are_hints_are_sent_again_and_others_are_parked() -> None:
    world = World()
    world.put(ADA)
    world.queue.dead = [
        DeadLetter(id="1", body=envelope().encode(), reason="MaxDeliveryCountExceeded"),
        DeadLetter(id="2", body=b"broken", reason="MaxDeliveryCountExceeded"),
        DeadLetter(id="3", body=envelope(kind=EnvelopeKind.OPERATE, subject="alerts", cause="x").encode(), reason="TTLExpired"),
    ]
    world.app.tick()
    assert world.queue.dead == []
    assert len(world.app.parking.listed()) == 2
    world.pass_time(minutes=20)
    assert len(world.desk.tickets) == 1


# --- health ---


def test_health_waits_for_both_subscriptions_and_the_start_up_sweep() -> None:
    world = World()
    ready, document = world.app.health()
    assert not ready and document["waiting_for"] == ["both subscriptions", "the start-up sweep"]
    world.app.renew_subscriptions()
    assert world.app.health()[1]["waiting_for"] == ["the start-up sweep"]
    world.app.sweep()
    assert world.app.health()[0]
    world.clock.advance(seconds=1)
    world.app.starting(alone=True)
    assert not world.app.health()[0]
    world.clock.advance(seconds=1)
    world.app.sweep()
    assert world.app.health()[0]
    world.clock.advance(days=29)
    assert world.app.health()[1]["waiting_for"] == ["both subscriptions"]


def test_where_nobody_subscribed_the_tick_does_so_within_minutes_and_no_more_once_they_stand() -> None:
    """The timer that renews them may be six hours away after a first deployment, and until then nothing would be told."""
    world = World()
    for _ in range(10):
        world.app.tick()
        world.pass_time(minutes=1)
    assert len(world.subscriptions.asked) == 1
    assert "both subscriptions" not in world.app.health()[1]["waiting_for"]
    # They ended, and the timer did not come.
    world.clock.advance(days=29)
    world.app.tick()
    world.app.tick()
    assert len(world.subscriptions.asked) == 2


@pytest.mark.parametrize("trouble", [Refused("no permission"), TryLater("busy"), OutcomeUnknown("cut")])
def test_while_the_directory_takes_no_subscription_the_tick_goes_on_and_tries_every_five_minutes(
    trouble: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, tried = World(), []

    def ensure(**_: object) -> None:
        tried.append(world.clock.now())
        raise trouble

    monkeypatch.setattr(world.subscriptions, "ensure", ensure)
    for _ in range(13):
        world.app.tick()
        world.pass_time(minutes=1)
    assert [later - earlier for earlier, later in pairwise(tried)] == [timedelta(minutes=5)] * 2


def test_health_never_raises() -> None:
    world = World()
    world.store.unavailable = True
    assert world.app.health()[0] is False


def test_health_counts_open_runs() -> None:
    world = World()
    world.app.pauses.pause("*", "x")
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=2)
    assert world.app.health()[1]["open_runs"] == 1
    world.app.pauses.resume("*")
    world.pass_time(minutes=20)
    assert world.app.health()[1]["open_runs"] == 0


# --- what is told, and to whom ---


def test_logs_carry_ids_and_never_names(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World()
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=20)
    world.directory.change("ada", account_enabled=False, display_name="Ada King")
    world.look("ada")
    world.pass_time(minutes=20)
    told = " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "local|person:ada" in told
    assert not any(private in told for private in ("Lovelace", "lovelace@", "Ada King"))


def test_whoever_changes_removes_or_reorders_an_audit_entry_is_found_at_that_entry() -> None:
    world = World()
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=20)
    records = [line.record for line in world.audit("ada")]

    def broken(chained: list[AuditRecord]) -> tuple[int, str] | None:
        found = first_break(chained)
        return (found.seq, found.wrong) if found else None

    assert broken(records) is None
    for place in range(len(records)):
        changed = [*records]
        changed[place] = replace(records[place], why="something else")
        assert broken(changed) == (place + 1, "changed")
        removed = records[:place] + records[place + 1 :]
        assert broken(removed) == ((place + 1, "missing") if place + 1 < len(records) else None)
    swapped = [records[1], records[0], *records[2:]]
    assert broken(swapped) == (1, "reordered")


@pytest.mark.parametrize("zone", [UTC, None])
def test_what_is_put_back_is_later_on_the_buss_clock_too(zone: tzinfo | None) -> None:
    """Our clock is an hour behind: by it alone the message would come back at once, and again, and again."""
    world = World()
    world.store.unavailable = True
    bus_now = world.clock.now() + timedelta(hours=1)
    world.app.handle(envelope().encode(), enqueued_at=bus_now.replace(tzinfo=zone))
    [again] = world.queue.sent
    assert again.not_before is not None and again.not_before >= bus_now + timedelta(seconds=30)


def test_a_hint_out_of_the_dead_letters_begins_anew_however_often_it_was_put_back() -> None:
    world = World()
    world.queue.dead.append(DeadLetter(id="1", body=envelope(attempt=40).encode(), reason="MaxDeliveryCountExceeded"))
    world.app.tick()
    [again] = world.queue.sent
    assert (decode(again.body).attempt, decode(again.body).revived) == (0, 1) and not world.app.parking.listed()
