"""Rings, policy edits and waves in the simulation: each has its share of the histories, and the oracle can say no to each promise about them."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.simulation.history import history_of
from tests.simulation.journals import memory_of, moment
from tests.simulation.operating import APPLY, DISCARDED, DROPPED, LISTED, PROMOTED, RELEASED, SEEN_HELD, SEEN_REHEARSED, Word
from tests.simulation.oracle import judge
from tests.simulation.records import Outcome
from tests.simulation.theme import EDIT, RINGS, WAVE
from tests.simulation.world import Simulation

#: Seeds whose histories hold what their test is about; without faults.
REHEARSED, EDITED, STRUCK = 227, 140, 915


def lived(seed: int) -> Outcome:
    return Simulation(replace(history_of(seed), faults=())).run()


@pytest.fixture(scope="module")
def all_sound() -> dict[int, Outcome]:
    return {seed: lived(seed) for seed in (REHEARSED, EDITED, STRUCK)}


@pytest.fixture
def rehearsed(all_sound: dict[int, Outcome]) -> Outcome:
    """A leaver's ring was shadow, and was widened; an operator promoted some and dropped others."""
    return own(all_sound[REHEARSED])


@pytest.fixture
def edited(all_sound: dict[int, Outcome]) -> Outcome:
    """A group was given a role by an edited policy, which somebody applied."""
    return own(all_sound[EDITED])


@pytest.fixture
def struck(all_sound: dict[int, Outcome]) -> Outcome:
    """A wave, of which an operator released some and discarded others."""
    return own(all_sound[STRUCK])


def own(outcome: Outcome) -> Outcome:
    """To be tampered with."""
    return replace(
        outcome,
        partitions=copy.deepcopy(outcome.partitions),
        indexes=copy.deepcopy(outcome.indexes),
        words=list(outcome.words),
        worked_out={},
    )


def people(outcome: Outcome, *, told: str, but: tuple[str, ...] = ()) -> list[str]:
    """Of whom the operator saw or said this, and nothing of that."""
    not_them = {word.person for word in outcome.words if word.what in but}
    return sorted({word.person for word in outcome.words if word.what == told} - not_them)


def without(outcome: Outcome, *whats: str) -> Outcome:
    return replace(outcome, words=[word for word in outcome.words if word.what not in whats])


def instead(outcome: Outcome, said: str, other: str) -> Outcome:
    return replace(outcome, words=[replace(word, what=other) if word.what == said else word for word in outcome.words])


def about(outcome: Outcome, sort: str, words: str) -> list[str]:
    """Complaints of this sort that say so."""
    return [sentence for sentence in getattr(judge(replace(outcome, worked_out={})), sort) if words in sentence]


def test_each_theme_has_its_share_of_the_histories_and_most_have_none() -> None:
    histories = [history_of(seed) for seed in range(300)]
    kinds = Counter(history.theme.kind for history in histories)
    assert all(kinds[kind] >= 15 for kind in (RINGS, EDIT, WAVE)), kinds
    assert kinds[""] > 150, kinds
    assert sum(history.theme.restless for history in histories) > 40


@pytest.mark.parametrize("seed", [REHEARSED, EDITED, STRUCK])
def test_the_oracle_is_content_with_sound_guards(seed: int, all_sound: dict[int, Outcome]) -> None:
    outcome = all_sound[seed]
    assert judge(outcome).sentences == []
    said = Counter(word.what for word in outcome.words)
    wanted = {REHEARSED: (SEEN_REHEARSED, PROMOTED, DROPPED), EDITED: (APPLY, LISTED), STRUCK: (SEEN_HELD, RELEASED, DISCARDED)}
    assert all(said[what] for what in wanted[seed]), said


def test_the_oracle_sees_a_run_that_nobody_had_promoted(rehearsed: Outcome) -> None:
    outcome = without(rehearsed, PROMOTED)
    assert about(outcome, "wrong", "acted outside of its ring") or about(outcome, "wrong", "waited for a word, nobody said it, and it ran")


def test_the_oracle_misses_the_run_that_was_promoted(rehearsed: Outcome) -> None:
    [silent, *_] = people(rehearsed, told=SEEN_REHEARSED, but=(PROMOTED, DROPPED))
    rehearsed.words.append(Word(rehearsed.ended_at - 1, PROMOTED, silent, "leaver"))
    assert about(rehearsed, "lost", f"{silent}: leaver: {PROMOTED}, and did not run")


def test_the_oracle_sees_a_run_that_was_dropped(rehearsed: Outcome) -> None:
    assert about(instead(rehearsed, PROMOTED, DROPPED), "wrong", f"{DROPPED}, and ran")


def test_the_oracle_sees_a_rehearsal_that_reached_the_desk(rehearsed: Outcome) -> None:
    silent = people(rehearsed, told=SEEN_REHEARSED, but=(PROMOTED, DROPPED))[0]
    memory = memory_of(rehearsed.partitions[f"local|person:{silent}"])
    key = next(step["key"] for steps in memory.steps.values() for step in steps if step["asks"] == "OpenTicket")
    rehearsed = replace(rehearsed, landings=[*rehearsed.landings, replace(rehearsed.landings[0], asks="OpenTicket", key=key)])
    assert about(rehearsed, "wrong", "is a rehearsal, and its OpenTicket reached the desk")


def test_the_oracle_sees_an_edit_that_starts_something_before_it_is_applied(edited: Outcome) -> None:
    assert about(without(edited, APPLY), "wrong", "nobody had applied the edit")


def test_the_oracle_misses_what_the_list_of_an_edit_had_named(edited: Outcome) -> None:
    [listed, *_] = people(edited, told=LISTED)
    group = next(word.workflow for word in edited.words if word.what == LISTED)
    for row in edited.partitions[f"local|person:{listed}"].values():
        if isinstance(row.get("fact"), dict) and group in row["fact"].get("gained", ()):
            row["fact"] = {**row["fact"], "gained": []}
    assert about(edited, "lost", f"{listed}: 0 runs, and the edit had listed one")


def test_the_oracle_sees_a_run_without_a_cause(edited: Outcome) -> None:
    run = next(run for rows in edited.partitions.values() for run in memory_of(rows).live if run["workflow"] == "role_change")
    run["started_at"] = (moment(run["started_at"]) + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert about(edited, "wrong", "nothing had happened since")


def test_the_oracle_sees_more_than_the_limit_and_what_ran_without_a_word(struck: Outcome) -> None:
    outcome = without(struck, RELEASED)
    assert about(outcome, "wrong", "may, and nobody had released it")
    assert about(outcome, "wrong", "waited for a word, nobody said it, and it ran")


def test_the_oracle_misses_what_was_released_and_sees_what_was_discarded_and_ran(struck: Outcome) -> None:
    assert about(instead(struck, DISCARDED, RELEASED), "lost", f"{RELEASED}, and did not run")
    assert about(instead(struck, RELEASED, DISCARDED), "wrong", f"{DISCARDED}, and ran")


def test_the_oracle_misses_what_was_held_and_is_held_no_more(struck: Outcome) -> None:
    [silent, *_] = people(struck, told=SEEN_HELD, but=(RELEASED, DISCARDED))
    partition = f"local|person:{silent}"
    del struck.indexes["held"][partition]
    assert about(struck, "lost", "the book does not say so")
    struck.partitions[partition]["head"] = {**struck.partitions[partition]["head"], "held": ""}
    assert about(struck, "lost", f"{silent}: leaver did not run, and waits for nobody")
