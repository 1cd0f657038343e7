"""The table at the end of a day: what the runs say beside what the desk holds, where a role waited for an answer and where a change is held."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from offices import ADA, Office

from joinery.cli.outcome import Row, outcome
from joinery.engine.breaker import HeldChange
from joinery.engine.envelope import person_subject
from joinery.engine.memory import DEFAULT_START
from joinery.testing import TENANT
from simulators.driver import HaloDriver
from simulators.play import Expected

PARTITION = f"{TENANT}|{person_subject('ada')}"
ROLE = "Change Manager"


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    yield made
    made.halo.stop()


def rows(office: Office, expected: Expected, *held: HeldChange) -> list[Row]:
    """What the table has about one person."""
    desk = HaloDriver("http://halo.test", transport=httpx.WSGITransport(app=office.halo.wsgi))
    try:
        return list(outcome(office.world.app.reads, desk, [expected], held).rows)
    finally:
        desk.close()


def role(*before: str) -> Expected:
    return Expected(person_id=ADA.id, name="Ada", workflow="role_change", role=ROLE, before=before)


def held(workflow: str) -> HeldChange:
    return HeldChange(partition=PARTITION, workflow=workflow, at=DEFAULT_START, why="5 an hour may leave")


def test_a_role_that_came_with_the_answer_is_well_and_the_row_shows_what_was_there_before(office: Office) -> None:
    office.gains()
    office.answers(1)
    [row] = rows(office, role())
    assert (row.wrong, row.ended, row.held) == ("", "verified", False)
    assert row.shows == "roles on the desk before the answer: none; now: Change Manager"
    assert row.done == row.steps == row.verified


@pytest.mark.parametrize("approved", [True, False])
def test_a_role_that_was_there_before_the_answer_or_is_not_there_after_it_is_wrong(office: Office, approved: bool) -> None:
    office.gains()
    office.answers(1 if approved else 2)
    [row] = rows(office, role(*([ROLE] if approved else [])))
    assert "was on the desk before the answer, or is not there now" in row.wrong
    assert row.shows.endswith(f"now: {ROLE if approved else 'none'}")


def test_a_row_without_a_role_shows_nothing_besides(office: Office) -> None:
    office.gains()
    office.answers(1)
    [row] = rows(office, Expected(person_id=ADA.id, name="Ada", workflow="role_change"))
    assert (row.shows, row.wrong) == ("", "")


def test_what_is_held_is_nobodys_fault_as_long_as_nothing_was_done_about_it(office: Office) -> None:
    office.gains()
    leaves = Expected(person_id=ADA.id, name="Ada", workflow="leaver")
    [row] = rows(office, leaves, held("mover, leaver"))
    assert (row.held, row.ended, row.wrong, row.steps) == (True, "held: a person decides", "", 0)
    [row] = rows(office, leaves, held("mover"))
    assert (row.held, row.wrong) == (False, "no run")
    user = office.ticket()["user_id"]
    office.http.post("/api/Tickets", json=[{"summary": "Offboarding: Ada", "tickettype_id": 1, "user_id": user}]).raise_for_status()
    [row] = rows(office, leaves, held("leaver"))
    assert row.held and row.wrong.startswith("held, and the desk has 1 ticket (")
