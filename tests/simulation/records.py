"""What goes into a simulation, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from joinery.app import App
from joinery.engine.memory_desk import MemoryServiceDesk
from tests.simulation.answering import Said
from tests.simulation.cutting import Touch
from tests.simulation.faults import Fault
from tests.simulation.operating import Word
from tests.simulation.ports import Landing
from tests.simulation.scheduler import Task
from tests.simulation.story import Story
from tests.simulation.theme import Theme


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """All that a simulation needs: the same history runs the same way."""

    seed: int
    story: Story
    faults: tuple[Fault, ...]
    #: How many people were invented for it, before its theme and before any shrinking.
    people: int
    theme: Theme = field(default_factory=Theme)


@dataclass(slots=True)
class Process:
    """One worker process: an App that may die and start anew."""

    name: str
    app: App
    task: Task | None = None
    free_at: float = 0.0
    #: Which of the theme's rules it was started with.
    rules: int = 0


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What there is when all is over: raw, for the oracle."""

    history: History
    start: Any
    desk: MemoryServiceDesk
    #: User id -> active and agent id -> (enabled, roles), before the story.
    users_before: dict[str, bool]
    agents_before: dict[str, tuple[bool, tuple[str, ...]]]
    landings: list[Landing]
    partitions: dict[str, dict[str, Any]]
    indexes: dict[str, dict[str, Any]]
    waiting: int
    scheduled: int
    dead: int
    rested: bool
    #: Seconds since the story began.
    ended_at: float
    struck: dict[str, int]
    messages: int
    #: When which process started with which of the theme's rules.
    booted: list[tuple[float, str, int]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    touches: list[Touch] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    #: What the oracle works out once for everybody.
    worked_out: dict[str, list[float]] = field(default_factory=dict)
