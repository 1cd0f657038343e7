"""Yesterday's journals still run: whatever a release left behind in the middle of its work, this one finishes as that one would have."""

from __future__ import annotations

import pytest

from joinery.testing import World
from tests.replay.journal_file import STORED, Journal, desk_at_the_end, runs_at_the_end
from tests.replay.record import STORIES, record
from workflows import CATALOGUE

JOURNALS = tuple(Journal.read(path) for path in sorted(STORED.glob("*.json")))
#: Workflow -> the version with which a run begins today.
PRESENT = {workflow.name: workflow.version for workflow in CATALOGUE.values()}


def prefixes(journal: Journal) -> list[int]:
    """The prefixes after which this release goes on as the recording one did: it begins no run of a newer version."""
    return [
        number
        for number in range(journal.first, len(journal.commits) + 1)
        if all(run["id"] in journal.begun(number) or run["version"] == PRESENT[run["workflow"]] for run in journal.runs)
    ]


def finished(world: World, journal: Journal) -> World:
    """A look, as a redelivered notification brings it, and an hour of ticks: the tick finds what no message wakes."""
    for one in journal.looks:
        world.look(one)
    for _ in range(60):
        world.pass_time(minutes=1)
        world.app.tick()
    world.work()
    return world


@pytest.mark.parametrize("journal", JOURNALS, ids=lambda journal: journal.name)
def test_every_prefix_of_a_stored_journal_ends_as_its_story_did(journal: Journal) -> None:
    tried = prefixes(journal)
    assert tried
    for number in tried:
        world = finished(journal.world(number), journal)
        where = f"{journal.name} after {number} of {len(journal.commits)} commits"
        assert runs_at_the_end(world) == journal.runs, where
        assert desk_at_the_end(world) == journal.end, where
        assert not world.app.parking.listed(), where


def test_each_recipe_of_today_has_a_journal_of_its_version() -> None:
    """Red: run ``python -m tests.replay.record`` and commit the new file beside the old one."""
    stored = {(run["workflow"], run["version"]) for journal in JOURNALS for run in journal.runs}
    assert set(PRESENT.items()) <= stored
    assert set(STORIES) <= {journal.name for journal in JOURNALS}


@pytest.mark.parametrize("name", STORIES)
def test_a_story_told_today_leaves_what_its_file_holds(name: str) -> None:
    """A changed recipe needs a new version; a changed form of what is stored, an upgrade and stories recorded anew under a new name."""
    told = record(name, STORIES[name])
    kept = next(journal for journal in JOURNALS if journal.name == name)
    assert (told.runs, told.end) == (kept.runs, kept.end)


def test_a_stored_journal_stays_small() -> None:
    assert all(path.stat().st_size < 100_000 for path in STORED.iterdir())
