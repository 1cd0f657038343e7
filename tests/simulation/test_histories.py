"""A hundred histories, and the promises of the simulation itself: it repeats itself, it shrinks, and its oracle can say no."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.simulation.campaign import campaign
from tests.simulation.history import history_of, live
from tests.simulation.oracle import judge
from tests.simulation.ports import Landing
from tests.simulation.records import History, Outcome
from tests.simulation.shrink import shrunk
from tests.simulation.story import scenes
from tests.simulation.verdict import Verdict
from tests.simulation.world import Simulation

ROOT = Path(__file__).resolve().parents[2]

#: Histories in the ordinary run; the campaign has 10,000.
HISTORIES, BLOCK = 100, 20


def quiet(history: History) -> History:
    return replace(history, faults=())


@pytest.fixture(scope="module")
def sound() -> Outcome:
    """A history without faults, in which people joined, left and were left alone."""
    return Simulation(quiet(history_of(5))).run()


@pytest.fixture
def outcome(sound: Outcome) -> Outcome:
    """The same, in lists of its own, to be tampered with."""
    desk = sound.desk
    again = Simulation(sound.history).desk
    again.users, again.tickets, again.agents, again.notes = ([replace(one) for one in things] for things in _things(desk))
    partitions = {name: {row: dict(document) for row, document in rows.items()} for name, rows in sound.partitions.items()}
    return replace(sound, desk=again, partitions=partitions, landings=list(sound.landings))


def _things(desk: object) -> list[list]:
    return [desk.users, desk.tickets, desk.agents, desk.notes]  # type: ignore[attr-defined]


@pytest.mark.parametrize("first", range(0, HISTORIES, BLOCK))
def test_whatever_breaks_everything_is_done_and_nothing_twice(first: int) -> None:
    summary = campaign(range(first, first + BLOCK))
    for seed, sentences in summary.failures.items():
        print(f"python -m tests.simulation --seed {seed} --shrink", *sentences, sep="\n    ")
    assert (summary.lost, summary.wrong, summary.duplicated) == (0, 0, 0), sorted(summary.failures)
    # An oracle that allows everything would be content too.
    assert summary.certain > summary.people / 2


def test_the_same_history_runs_the_same_way_twice() -> None:
    for seed in (3, 8, 11):
        first, second = (live(history_of(seed), tracing=True).outcome for _ in range(2))
        assert first is not None and second is not None
        assert len(first.trace) > 1000
        assert first.trace == second.trace


@pytest.mark.servers
def test_the_same_history_runs_the_same_way_in_another_process() -> None:
    """Sets and dictionaries of texts are ordered by a chance of each process: nothing may hang on it."""

    def trace(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-m", "tests.simulation", "--seed", "8", "--trace"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False, timeout=100)
        assert done.returncode == 0, done.stdout[-2000:]
        return hashlib.sha256(done.stdout).hexdigest()

    assert trace("1") == trace("2")


def test_a_failing_history_shrinks_to_what_the_failure_needs() -> None:
    def somebody_left(history: History) -> bool:
        outcome = Simulation(history).run()
        return any(ticket.kind == "offboarding" for ticket in outcome.desk.tickets)

    small = shrunk(history_of(2), somebody_left, tries=120)
    assert len(small.story.people) == 1 and small.faults == ()
    assert somebody_left(small)


def test_the_oracle_is_content_with_a_sound_history(outcome: Outcome) -> None:
    verdict = judge(outcome)
    assert verdict.good, verdict.sentences
    assert verdict.people >= 8 and verdict.certain > verdict.people / 2


def complaints(outcome: Outcome) -> Verdict:
    verdict = judge(outcome)
    assert not verdict.good
    return verdict


def test_the_oracle_misses_a_ticket_that_is_gone(outcome: Outcome) -> None:
    outcome.desk.tickets.pop()
    assert complaints(outcome).lost


def test_the_oracle_sees_a_ticket_that_is_there_twice(outcome: Outcome) -> None:
    twin = replace(outcome.desk.tickets[-1], id="9999")
    outcome.desk.tickets.append(twin)
    outcome.landings.append(Landing(at=outcome.ended_at, asks="OpenTicket", key=twin.key, person="", id="9999", late=False))
    assert complaints(outcome).duplicated


def test_the_oracle_sees_a_ticket_that_nobody_asked_for(outcome: Outcome) -> None:
    outcome.desk.put_ticket(kind="onboarding", key="test-NOBODY")
    assert complaints(outcome).wrong


def test_the_oracle_sees_a_user_who_is_active_after_leaving(outcome: Outcome) -> None:
    gone = next(user for user in outcome.desk.users if not user.active)
    gone.active = True
    assert complaints(outcome).lost


def test_the_oracle_sees_a_changed_entry_of_the_audit(outcome: Outcome) -> None:
    rows = next(rows for rows in outcome.partitions.values() if "~audit.000000000002" in rows)
    rows["~audit.000000000002"]["why"] = "because"
    assert complaints(outcome).wrong


def test_the_oracle_sees_a_person_whom_nobody_looked_at_again(outcome: Outcome) -> None:
    here = next(one for one in outcome.history.story.people if scenes(one)[-1].state == "here")
    rows = outcome.partitions[f"local|person:{here.id}"]
    rows["known"] = {**rows["known"], "seen": {**rows["known"]["seen"], "mail": "x"}}
    assert complaints(outcome).lost


def test_a_late_twin_is_forgiven_only_where_it_is_marked(outcome: Outcome) -> None:
    ticket = outcome.desk.tickets[-1]
    landed = outcome.ended_at - timedelta(hours=10).total_seconds()
    outcome.desk.tickets.append(replace(ticket, id="9999"))
    outcome.landings.append(Landing(at=landed, asks="OpenTicket", key=ticket.key, person="", id="9999", late=True))
    assert "was not marked" in complaints(outcome).duplicated[0]


# --- what is cut off in the directory ---


def test_leavers_are_cut_off_in_some_histories_and_the_oracle_is_content(sound: Outcome) -> None:
    assert sound.history.theme.cut_off and judge(sound).good
    assert {bool(touch.group) for touch in sound.touches} == {True, False}


def test_the_oracle_misses_what_was_not_cut_off_and_what_was_cut_off_and_kept(sound: Outcome) -> None:
    for kept in (True, False):
        left_out = replace(sound, touches=[touch for touch in sound.touches if bool(touch.group) is kept])
        assert any("nobody ended them" in one or "were not" in one for one in complaints(left_out).sentences)
    moved = replace(sound, touches=[*sound.touches, replace(sound.touches[0], group="Licences")])
    assert any("which is not ours to do" in one for one in complaints(moved).sentences)


def test_the_oracle_sees_somebody_cut_off_who_was_not_disabled_or_where_policy_says_nothing(sound: Outcome) -> None:
    before = replace(sound, touches=[*sound.touches, replace(sound.touches[0], at=1.0)])
    assert any("was not disabled then" in one for one in complaints(before).sentences)
    silent = replace(sound, history=replace(sound.history, theme=replace(sound.history.theme, cut_off=False)))
    assert any("policy does not say so" in one for one in complaints(silent).sentences)
