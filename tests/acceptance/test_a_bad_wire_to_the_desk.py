"""Answers that are lost, late, refused or slow: one ticket, one user, one note; or, beyond every deadline, a twin that is found and marked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from product import Product, product, wait_until
from tales import joined, left, made
from world import Someone

pytestmark = pytest.mark.servers

#: What the fixture's deadline (1 s) and search lag (0.3 s) leave to be reached by a write that is only a little late.
_A_LITTLE, _BEYOND_EVERY_DEADLINE = 0.6, 4.0
_CREATES = ("/api/Tickets", "/api/Users", "/api/Actions")
#: All three go wrong at once, in the same story; a campaign also takes them one by one.
_WHERE = [_CREATES, *((path,) for path in _CREATES if os.environ.get("JOINERY_CAMPAIGN"))]
_LOST: dict[str, dict[str, Any]] = {
    "lost response": {"fault": "lost_response"},
    "lost request": {"fault": "lost_request"},
    "lands a little late": {"fault": "lands_late", "delay": _A_LITTLE},
    "slow beyond the deadline": {"fault": "slow", "delay": 1.5},
    "lost response, twice": {"fault": "lost_response", "times": 2},
}
_NOT_DONE: dict[str, dict[str, Any]] = {
    "500": {"fault": "status", "status": 500},
    "502": {"fault": "status", "status": 502},
    "401": {"fault": "status", "status": 401},
    "429": {"fault": "throttle", "retry_after": 1},
    "429 without Retry-After": {"fault": "status", "status": 429},
    "slow within the deadline": {"fault": "slow", "delay": 0.4},
}


def _on(path: str, fault: dict[str, Any]) -> dict[str, Any]:
    return {"match": {"method": "POST", "path": path}, **fault}


def _name(paths: tuple[str, ...], fault: str) -> str:
    return f"Kim {' '.join(path.rpartition('/')[2] for path in paths)} {fault.title()}".replace(",", "").replace("-", "")


def _come_and_go(up: Product, one: Someone, *rules: dict[str, Any]) -> None:
    agent = up.world.agent(one, "Service Desk")
    up.world.halo_faults(*rules)
    up.world.add(one)
    ticket = joined(up, one)
    assert len(ticket["todo_list"]) == 12
    assert _notes_are_single(up, ticket["id"])
    up.world.halo_faults(*rules)
    up.world.disable(one)
    left(up, one, agent=agent)


def _notes_are_single(up: Product, ticket: object) -> bool:
    texts = [note["note"] for note in up.world.halo("GET", f"/Actions?ticket_id={ticket}&count=100")["actions"]]
    return len(texts) == len(set(texts))


@pytest.mark.parametrize("paths", _WHERE, ids=lambda paths: " and ".join(paths))
@pytest.mark.parametrize("fault", _LOST)
def test_a_create_whose_answer_never_came_is_there_once(up: Product, paths: tuple[str, ...], fault: str) -> None:
    one = made(up, _name(paths, fault))
    _come_and_go(up, one, *(_on(path, _LOST[fault]) for path in paths))


@pytest.mark.parametrize("paths", _WHERE, ids=lambda paths: " and ".join(paths))
@pytest.mark.parametrize("fault", _NOT_DONE)
def test_a_create_that_the_desk_could_not_do_just_now_is_done_later(up: Product, paths: tuple[str, ...], fault: str) -> None:
    one = made(up, _name(paths, fault))
    _come_and_go(up, one, *(_on(path, _NOT_DONE[fault]) for path in paths))


def test_an_index_that_lags_behind_hides_no_ticket_from_us(up: Product) -> None:
    """The answer is lost and searches do not see the ticket yet: the recent list does."""
    one = made(up, "Ines Index")
    rules = [_on("/api/Tickets", {"fault": "lost_response"}), _on("/api/Tickets", {"fault": "index_lag", "delay": 1.0})]
    up.world.halo_faults(*rules)
    up.world.add(one)
    joined(up, one)


@pytest.mark.parametrize("status", [400, 403])
def test_a_refusal_by_the_desk_is_told_and_not_repeated_at_once(tmp_path: Path, status: int) -> None:
    """The audit says what was refused, the desk is not hammered, and a leaver loses the access all the same."""
    with product(tmp_path) as it:
        one = made(it, "Rex Refused")
        agent = it.world.agent(one, "Administrator")
        it.world.halo_faults(_on("/api/Tickets", {"fault": "status", "status": status, "times": None, "body": {"Message": "no"}}))
        it.world.add(one)
        wait_until("the refusal is told", lambda: "refused" in it.tale(one), explain=it.story)
        it.world.disable(one)
        wait_until("the agent is disabled", lambda: it.world.agent_detail(agent)["isdisabled"], explain=it.story)
        wait_until("the user is inactive", lambda: it.world.users_of(one)[0]["inactive"], explain=it.story)
        assert it.world.tickets_of(one) == []
        tries = [call for call in it.world.halo_calls() if (call["method"], call["path"]) == ("POST", "/api/Tickets")]
        assert len(tries) <= 4
        assert "Traceback" not in it.log()
        assert it.health()[0] == 200


def test_a_ticket_that_lands_after_every_deadline_is_found_and_marked_as_a_twin(up: Product) -> None:
    one = made(up, "Tim Twin")
    up.world.halo_faults(_on("/api/Tickets", {"fault": "lands_late", "delay": _BEYOND_EVERY_DEADLINE}))
    up.world.add(one)
    wait_until("both tickets exist", lambda: len(up.world.tickets_of(one, "Onboarding")) == 2, explain=up.story)
    ours, twin = up.world.tickets_of(one, "Onboarding")
    wait_until("the twin is marked", lambda: _notes(up, twin["id"]), within=60, explain=lambda: f"{up.tale(one)}\n{up.story()}")
    marks = _notes(up, twin["id"])
    assert len(marks) == 1, marks
    assert str(ours["id"]) in marks[0]["note"], marks
    assert "twin" in up.tale(one)
    up.world.disable(one)
    left(up, one, earlier=2)


def _notes(up: Product, ticket: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = up.world.halo("GET", f"/Actions?ticket_id={ticket}&count=100")["actions"]
    return [note for note in found if "twin" in str(note["note"]).lower() or "same key" in str(note["note"]).lower()]
