"""What goes into a simulation, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from joinery.app import App
from joinery.engine.memory_desk import MemoryServiceDesk
from tests.simulation.answering import Said
from tests.simulation.faults import Fault
from tests.simulation.ports import Landing
from tests.simulation.scheduler import Task
from tests.simulation.story import Story


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """All that a simulation needs: the same history runs the same way."""

    seed: int
    story: Story
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class Process:
    """One worker process: an App that may die and start anew."""

    name: str
    app: App
    task: Task | None = None
    free_at: float = 0.0


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
    said: list[Said] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
