"""The managers: they work here, are asked to approve, and answer soon, late, twice, through somebody else's hand, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from joinery.domain.person import Person
from joinery.domain.policy import ApprovalPolicy, MoverPolicy, Policy
from joinery.errors import Refused
from tests.simulation.story import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

#: Everybody whom HR's story names as a manager.
MANAGERS = tuple(f"m{number}" for number in range(1, 5))


@dataclass(frozen=True, slots=True)
class Said:
    """An answer that the desk took."""

    at: float
    ticket: str
    #: Whether whoever was asked gave it with their own hand.
    counts: bool
    approved: bool


def brisk(policy: Policy) -> Policy:
    """The same rules, with waits that a history of some days can hold."""
    hours = timedelta(hours=1)
    approvals = replace(ApprovalPolicy(), remind_after=2 * hours, escalate_after=4 * hours, gives_up_after=8 * hours)
    return replace(policy, approvals=approvals, mover=MoverPolicy(old_access_lasts=timedelta(days=1)))


class Managers:
    """Who answers, when and what."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.said: list[Said] = []
        for number in MANAGERS:
            for replica in (simulation.fresh, simulation.late):
                replica.put(manager(number))

    def asked(self, ticket: str, users: tuple[str, ...]) -> None:
        """A round has begun on the desk."""
        simulation = self._simulation
        for user in users:
            shape = simulation.uniform(0, 1)
            if shape < 0.15:
                continue
            yes = simulation.chance(0.6)
            wait = simulation.uniform(*((5, 90), (90, HOUR), (HOUR, 8 * HOUR), (8 * HOUR, DAY))[simulation.pick(4)])
            if shape < 0.3:
                # Not by who was asked: whatever that says, it is no approval.
                how = ("override", "automatic")[simulation.pick(2)]
                self._at(wait * simulation.uniform(0.1, 0.9), ticket, user, True, how)
                continue
            self._at(wait, ticket, user, yes, "portal")
            if shape < 0.4:
                # Changed their mind: the first answer stands.
                self._at(wait + simulation.uniform(1, HOUR), ticket, user, not yes, "portal")

    def _at(self, wait: float, ticket: str, user: str, yes: bool, how: str) -> None:
        simulation = self._simulation
        simulation.agenda.at(simulation.now + wait, lambda: self._answers(ticket, user, yes, how))

    def _answers(self, ticket: str, user: str, yes: bool, how: str) -> None:
        simulation = self._simulation
        try:
            simulation.desk.answer(ticket, user, yes, how=how, by="" if how == "portal" else "agent-9")
        except Refused:
            return
        self.said.append(Said(simulation.now, ticket, how == "portal", yes))
        simulation.count("approvals answered")
        if simulation.chance(0.5):
            simulation.agenda.at(simulation.now + simulation.uniform(0.2, 5 * MINUTE), lambda: simulation.news.desk_tells(ticket))


def manager(identity: str) -> Person:
    """Somebody who works here and leads others."""
    mail = f"{identity}@contoso.example"
    name = f"Manager {identity[1:]}"
    return Person(id=identity, user_principal_name=mail, mail=mail, display_name=name, employee_id=f"E-{identity}", user_type="Member")
