"""What we do to the directory ourselves: somebody who left is taken out of groups that no rule names, and their sessions end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from joinery.engine.intake import Hint
from joinery.engine.memory_directory import MemoryDirectory
from joinery.errors import OutcomeUnknown, Refused, TryLater
from tests.simulation import faults as f

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

#: Groups that everybody is in from birth, with what stands in the way of leaving them; in none of them to the end: whoever was cut off.
OPEN = ("Everybody", "Building", "Parking")
SHUT = {"By rule": "dynamic", "From the premises": "synced", "Mailing list": "mail_enabled", "Licences": "licensed"}
#: Policy keeps them in this one.
ALUMNI = "Alumni"


@dataclass(frozen=True, kw_only=True, slots=True)
class Touch:
    """A write of ours that reached the directory."""

    at: float
    person: str
    #: Id of the group that they left; empty where their sessions ended.
    group: str = ""


def furnish(directory: MemoryDirectory) -> None:
    """The groups."""
    for name in (*OPEN, *SHUT, ALUMNI):
        directory.put_group(name, name=name)
    for name, trait in SHUT.items():
        directory.put_traits(name, **{trait: True})


def welcome(directory: MemoryDirectory, identity: str) -> None:
    """Somebody new is in all of them."""
    for name in (*OPEN, *SHUT, ALUMNI):
        directory.add_member(name, identity)


class Cutting:
    """Writes reach one replica at once, and the other when it has caught up."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.touches: list[Touch] = []

    def remove_member(self, group: str, person: str) -> None:
        """As the directory does it."""
        self._do(Touch(at=self._simulation.now, person=person, group=group), lambda replica: replica.remove_member(group, person))

    def revoke_sessions(self, person: str) -> None:
        """As the directory does it, which tells of it, too."""
        self._do(Touch(at=self._simulation.now, person=person), lambda replica: replica.revoke_sessions(person))
        self._simulation.news.notify(Hint(genuine=True, about="person", id=person))

    def _do(self, touch: Touch, act: Callable[[MemoryDirectory], None]) -> None:
        simulation, weather = self._simulation, self._simulation.weather
        if weather.has(f.DIRECTORY_DOWN):
            if simulation.chance(0.5):
                raise TryLater("the directory does not answer", after=timedelta(seconds=5))
            raise OutcomeUnknown("the directory does not answer any more")
        if weather.has(f.DIRECTORY_REFUSES):
            raise Refused("the directory refuses")
        act(simulation.fresh)
        simulation.say(f"{touch.person} is cut off: {touch.group or 'sessions'}")
        self.touches.append(touch)
        simulation.agenda.at(max(simulation.now, simulation.news.late_until), lambda: self._later(act))
        if simulation.lagging and simulation.chance(0.2):
            raise OutcomeUnknown("it was done, and the answer was lost")

    def _later(self, act: Callable[[MemoryDirectory], None]) -> None:
        try:
            act(self._simulation.late)
        except TryLater:
            # Nobody is there any more.
            return
