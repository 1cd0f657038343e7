"""Makes a failing history smaller: people, acts and faults are left out as long as it still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.simulation.records import History


def shrunk(history: History, fails: Callable[[History], bool], *, tries: int = 400) -> History:
    """The smallest history found with so many tries that still fails."""
    left = tries
    smaller = True
    while smaller and left > 0:
        smaller = False
        for candidate in _smaller(history):
            left -= 1
            if fails(candidate):
                history, smaller = candidate, True
                break
            if left <= 0:
                break
    return history


def _smaller(history: History) -> Iterator[History]:
    """Every history with one thing less, the big things first."""
    story = history.story
    half = len(story.people) // 2
    for kept in (story.people[:half], story.people[half:]):
        if kept and len(kept) < len(story.people):
            yield replace(history, story=replace(story, people=kept))
    half = len(history.faults) // 2
    for faults in (history.faults[:half], history.faults[half:]):
        if len(faults) < len(history.faults):
            yield replace(history, faults=faults)
    for number in range(len(story.people)):
        if len(story.people) > 1:
            yield replace(history, story=replace(story, people=(*story.people[:number], *story.people[number + 1 :])))
    for number in range(len(history.faults)):
        yield replace(history, faults=(*history.faults[:number], *history.faults[number + 1 :]))
    for number, person in enumerate(story.people):
        # What follows an act may make no sense without it, so a life is cut at its end.
        if len(person.acts) > 1:
            shorter = replace(person, acts=person.acts[:-1])
            yield replace(history, story=replace(story, people=(*story.people[:number], shorter, *story.people[number + 1 :])))
