"""A run that failed goes on where it stopped once a person says so: the same ticket, the same question, nothing twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stories import alerts, joined, statuses, tickets
from test_roles import CHANGES, DESK, answers, gains, loses, notes, requests, roles, working

from adapters.stores.sqlite import SqliteStateStore
from joinery.cli.failed import list_failed, retry_failed
from joinery.domain.roles import GrantState
from joinery.domain.tickets import AddNote, EndTicket, EnsureApprover, SetRoles
from joinery.engine.envelope import person_subject
from joinery.engine.operations import operator_partition
from joinery.engine.promotion import RETRIED, retry
from joinery.errors import ConfigurationError, Refused, TryLater
from joinery.testing import TENANT, World

ADA = f"{TENANT}|{person_subject('ada')}"


def goes_on(world: World, seq: int = 1) -> World:
    """Somebody says so; the timer ticks."""
    retry(world.store, ADA, [seq])
    world.app.tick()
    world.pass_time(minutes=20)
    assert world.store.list_index(RETRIED) == ()
    return world


def mended(world: World) -> None:
    world.desk._troubles.clear()


def refused_until_it_failed(asks: type, *, answered: bool | None = None, world: World | None = None) -> World:
    """A request whose step the desk refuses for two days."""
    world = working(world)
    if answered is None:
        world.desk.fail(Refused("no licence"), asks=asks, times=1000)
        gains(world, CHANGES)
    else:
        gains(world, CHANGES)
        world.desk.fail(Refused("no licence"), asks=asks, times=1000)
        answers(world, answered)
    world.pass_time(hours=50)
    assert statuses(world) == [("role_change", "failed")]
    mended(world)
    return world


def grant(world: World) -> GrantState:
    (known,) = world.app.reads.find("ada")
    return known.head.grants[CHANGES].state


def test_a_request_that_failed_before_anybody_was_asked_goes_on_with_its_ticket_and_the_answer_decides() -> None:
    world = refused_until_it_failed(EnsureApprover)
    assert grant(world) is GrantState.ASKED
    goes_on(world)
    [request] = requests(world)
    assert len(request.rounds) == 1 and statuses(world) == [("role_change", "open")]
    answers(world, True)
    assert roles(world) == ("Change Manager",) and request.closed
    assert statuses(world) == [("role_change", "verified")] and len(world.desk.users) == 2


def test_an_approval_that_could_not_be_carried_out_is_carried_out_and_nobody_is_asked_again() -> None:
    world = refused_until_it_failed(SetRoles, answered=True)
    assert (roles(world), grant(world)) == ((), GrantState.GRANTED)
    goes_on(world)
    [request] = requests(world)
    assert roles(world) == ("Change Manager",) and request.closed and len(request.rounds) == 1
    assert notes(world, request).count("The role Change Manager is on agent") == 1
    assert statuses(world) == [("role_change", "verified")]


def test_what_was_answered_while_it_had_failed_counts() -> None:
    world = refused_until_it_failed(EnsureApprover)
    goes_on(world)
    [request] = requests(world)
    world.desk.fail(Refused("archived"), asks=AddNote, times=1000)
    request.deleted = True
    world.app.poll_approvals()
    world.pass_time(minutes=20)
    assert statuses(world) == [("role_change", "failed")]
    request.deleted = False
    world.desk.answer(request.id, request.rounds[-1].answers[0].asked, True)
    mended(world)
    # Nobody has to tell us, and no list: the ticket is read first.
    world.desk.fail(TryLater("busy"), method="awaiting", times=1000)
    goes_on(world)
    assert roles(world) == ("Change Manager",) and len(request.rounds) == 1
    assert statuses(world) == [("role_change", "verified")]


def test_a_request_whose_ticket_is_gone_for_good_fails_again_and_asks_nobody() -> None:
    world = working()
    gains(world, CHANGES)
    requests(world)[0].deleted = True
    world.app.poll_approvals()
    world.pass_time(minutes=20)
    assert statuses(world) == [("role_change", "failed")]
    goes_on(world)
    assert statuses(world) == [("role_change", "failed")]
    assert len(world.desk.tickets) - len(tickets(world, "alert")) == 1 and len(requests(world)[0].rounds) == 1
    # The next membership is another request.
    loses(world, CHANGES)
    gains(world, CHANGES)
    answers(world, True)
    assert roles(world) == ("Change Manager",)


def test_whoever_is_asked_gets_the_whole_time_again() -> None:
    world = working()
    gains(world, CHANGES)
    [request] = requests(world)
    request.deleted = True
    world.app.poll_approvals()
    world.pass_time(minutes=20)
    request.deleted = False
    world.pass_time(days=40)
    goes_on(world)
    assert statuses(world) == [("role_change", "open")]
    world.pass_time(days=40)
    assert statuses(world) == [("role_change", "verified")] and "Nobody answered in time" in notes(world, request)


def test_what_is_answered_after_it_went_on_is_heard() -> None:
    world = working()
    gains(world, CHANGES)
    [request] = requests(world)
    request.deleted = True
    world.app.poll_approvals()
    world.pass_time(minutes=20)
    request.deleted = False
    goes_on(world)
    world.desk.answer(request.id, request.rounds[-1].answers[0].asked, True)
    assert world.app.answers.hint([request.id]) == 1
    world.pass_time(minutes=5)
    assert roles(world) == ("Change Manager",) and len(request.rounds) == 1


def test_what_was_not_said_before_the_decision_is_not_said_after_it() -> None:
    world = working()
    gains(world, CHANGES)
    [request] = requests(world)
    world.desk.fail(Refused("no notes"), asks=AddNote, times=1000)
    world.desk.answer(request.id, request.rounds[-1].answers[0].asked, True, how="automatic")
    world.app.answers.hint([request.id])
    world.pass_time(minutes=5)
    mended(world)
    world.desk.fail(Refused("no licence"), asks=SetRoles, times=1000)
    world.desk.answer(request.id, request.rounds[-1].answers[0].asked, True)
    world.app.answers.hint([request.id])
    world.pass_time(hours=50)
    assert statuses(world) == [("role_change", "failed")]
    mended(world)
    goes_on(world)
    assert statuses(world) == [("role_change", "verified")]
    states = {step.name: str(step.state) for step in world.runs()[0].steps}
    assert states.pop(f"get the approval for {CHANGES}: say what does not count, round 1") == "abandoned"
    assert set(states.values()) == {"done"}


def test_a_run_that_has_not_failed_is_left_as_it_is() -> None:
    world = working()
    gains(world, DESK)
    goes_on(world)
    assert [line.record.why for line in world.audit("ada") if line.record.action == "run not reopened"] == ["it has not failed"]
    assert statuses(world) == [("role_change", "verified")]


def test_a_refusal_whose_ticket_could_not_be_closed_stays_a_refusal() -> None:
    world = refused_until_it_failed(EndTicket, answered=False)
    goes_on(world)
    [request] = requests(world)
    assert (roles(world), grant(world), request.closed) == ((), GrantState.REFUSED, True)
    assert notes(world, request).count("is not given") == 1


def test_of_a_membership_that_has_ended_nothing_goes_on() -> None:
    world = refused_until_it_failed(EnsureApprover)
    loses(world, CHANGES)
    rounds = [len(request.rounds) for request in requests(world)]
    goes_on(world)
    assert [line.record.why for line in world.audit("ada") if line.record.action == "run not reopened"] == ["the membership has ended"]
    assert statuses(world)[0] == ("role_change", "failed") and [len(request.rounds) for request in requests(world)] == rounds


def test_what_a_later_request_took_over_does_not_go_on() -> None:
    world = refused_until_it_failed(EnsureApprover)
    loses(world, CHANGES)
    gains(world, CHANGES)
    goes_on(world)
    [why] = [line.record.why for line in world.audit("ada") if line.record.action == "run not reopened"]
    assert why.startswith("run role_change-") and why.endswith(" came after it")
    assert [len(request.rounds) for request in requests(world) if not request.closed] == [1]


def test_of_somebody_who_has_left_nothing_goes_on() -> None:
    world = refused_until_it_failed(EnsureApprover)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=20)
    goes_on(world)
    assert [line.record.why for line in world.audit("ada") if line.record.action == "run not reopened"] == ["the person has left since"]


def test_somebody_who_leaves_unseen_before_it_goes_on_is_offboarded_and_given_nothing() -> None:
    world = refused_until_it_failed(EnsureApprover)
    world.directory.change("ada", account_enabled=False)
    goes_on(world)
    assert dict(statuses(world)) == {"role_change": "superseded", "leaver": "verified"}
    assert roles(world) == ()


def test_an_onboarding_that_was_given_up_goes_on_and_opens_no_second_ticket() -> None:
    world = World()
    world.desk.fail(Refused("no such team"), asks=AddNote, times=1000)
    joined(world, minutes=60 * 50)
    assert statuses(world) == [("joiner", "failed")] and len(tickets(world, "onboarding")) == 1
    mended(world)
    goes_on(world)
    assert statuses(world) == [("joiner", "verified")] and len(tickets(world, "onboarding")) == 1
    assert len([note for note in world.desk.notes if note.ticket_id == tickets(world, "onboarding")[0]]) == 1


@pytest.mark.parametrize("times", [1, 3])
def test_saying_it_again_does_it_once(times: int) -> None:
    world = refused_until_it_failed(EnsureApprover)
    for _ in range(times):
        retry(world.store, ADA, [1])
        world.app.tick()
        world.app.tick()
        world.pass_time(minutes=5)
    assert [line.record.action for line in world.audit("ada")].count("run reopened") == 1
    assert [len(request.rounds) for request in requests(world)] == [1]


def test_a_retry_that_fails_again_is_told_again() -> None:
    world = refused_until_it_failed(EnsureApprover)
    told = len(alerts(world))
    world.desk.fail(Refused("no licence"), asks=EnsureApprover, times=1000)
    goes_on(world)
    assert statuses(world) == [("role_change", "open")], "it is tried as long as the first time"
    world.pass_time(hours=50)
    assert statuses(world) == [("role_change", "failed")] and len(alerts(world)) > told


# --- the command


@pytest.fixture
def failed(tmp_path: Path) -> World:
    """A request that failed, in a store that the command can open beside us."""
    return refused_until_it_failed(EnsureApprover, world=World(store=SqliteStateStore(tmp_path / "state.db")))


def test_the_command_lists_what_failed_with_reason_and_ticket_and_lets_it_go_on(
    failed: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list_failed(str(tmp_path), as_json=True) == 0
    [one] = json.loads(capsys.readouterr().out)
    assert (one["person"], one["workflow"], one["tickets"], one["retried"]) == ("ada", "role_change", [requests(failed)[0].id], False)
    assert "make sure bob may approve: refused: no licence" in one["why"]
    assert retry_failed(str(tmp_path), person="ada", everything=False, reason="the licence was extended") == 0
    assert "Going on within a minute: 1 run." in capsys.readouterr().out
    list_failed(str(tmp_path), as_json=False)
    told = capsys.readouterr().out
    assert "role_change  Ada (ada); retry is under way" in told and f"ticket {requests(failed)[0].id}" in told
    failed.app.tick()
    failed.pass_time(minutes=5)
    answers(failed, True)
    assert roles(failed) == ("Change Manager",)
    assert list_failed(str(tmp_path), as_json=False) == 0
    assert "Nothing has failed" in capsys.readouterr().out
    [told_by] = failed.app.reads.audit(operator_partition(TENANT))
    assert (told_by.record.action, told_by.record.why) == ("run retried", "ada: the licence was extended")


def test_the_command_says_when_nothing_fits(failed: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert retry_failed(str(tmp_path), person="bob", everything=False, reason="x") == 1
    assert "Nothing of that has failed" in capsys.readouterr().out
    assert retry_failed(str(tmp_path), person=None, everything=True, reason="x") == 0


@pytest.mark.parametrize(("person", "everything", "reason"), [(None, False, "x"), ("ada", True, "x"), ("ada", False, " ")])
def test_whoever_says_neither_whom_nor_why_gets_a_finding(tmp_path: Path, person: str | None, everything: bool, reason: str) -> None:
    with pytest.raises(ConfigurationError):
        retry_failed(str(tmp_path), person=person, everything=everything, reason=reason)


def test_what_cannot_go_on_is_not_listed(failed: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loses(failed, CHANGES)
    assert list_failed(str(tmp_path), as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == []
