"""The managers: they work here, are asked to approve, and answer soon, late, twice, through somebody else's hand, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from joinery.domain.person import Person
from joinery.domain.policy import ApprovalPolicy, MoverPolicy, Policy
from joinery.errors import Refused
from tests.simulation.story import DAY, HOUR, MANAGERS, MINUTE, Character, scenes

if TYPE_CHECKING:
    from tests.simulation.world import Simulation


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
        #: Directory id of a manager -> when they left for good.
        self._leave = {one.id: gone for one in simulation.history.story.people if one.id in MANAGERS and (gone := left_for_good(one))}
        #: Ticket -> desk ids of whom its present round asks.
        self._open: dict[str, tuple[str, ...]] = {}
        for number in MANAGERS:
            for replica in (simulation.fresh, simulation.late):
                replica.put(manager(number))

    def asked(self, ticket: str, users: tuple[str, ...]) -> None:
        """A round has begun on the desk."""
        simulation = self._simulation
        self._open[ticket] = users
        for user in users:
            if simulation.theme.restless and simulation.chance(0.35):
                self._wrongly(ticket, user)
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

    def _wrongly(self, ticket: str, user: str) -> None:
        """Somebody else answers first: the person themself in the manager's place, or a colleague whom nobody asked."""
        simulation = self._simulation
        wait = simulation.uniform(5, HOUR)
        if simulation.chance(0.5):
            colleague = str(simulation.pick(40) + 100)
            simulation.agenda.at(simulation.now + wait, lambda: self._answers(ticket, colleague, True, "portal"))
        else:
            simulation.agenda.at(simulation.now + wait, lambda: self._answers(ticket, user, True, "delegate"))

    def leaves(self, identity: str) -> None:
        """A manager is not here any more; somebody may wait for their answer."""
        users = {user.id for user in self._simulation.desk.users if user.directory_id == identity}
        for ticket, asked in self._open.items():
            if users & set(asked) and ticket in self._simulation.desk.awaiting():
                self._simulation.count("manager left while asked")

    def _at(self, wait: float, ticket: str, user: str, yes: bool, how: str) -> None:
        simulation = self._simulation
        simulation.agenda.at(simulation.now + wait, lambda: self._answers(ticket, user, yes, how))

    def _answers(self, ticket: str, user: str, yes: bool, how: str) -> None:
        simulation = self._simulation
        by = {"portal": "", "delegate": self._themself(ticket)}.get(how, "agent-9")
        asked = self._open.get(ticket, ())
        late = ticket not in simulation.desk.awaiting()
        try:
            simulation.desk.answer(ticket, user, yes, how=how, by=by)
        except Refused as error:
            twice, stranger = "already" in str(error), user not in asked
            simulation.count("answered twice" if twice else "answered by a stranger" if stranger else "answered too late")
            return
        gone = self._left(user)
        self.said.append(Said(simulation.now, ticket, how == "portal" and not gone, yes))
        simulation.count("approvals answered")
        if how != "portal" or gone:
            simulation.count("answered by whoever has left" if gone else f"answered by {how}")
        elif late:
            simulation.count("answered too late")
        if simulation.chance(0.5):
            simulation.agenda.at(simulation.now + simulation.uniform(0.2, 5 * MINUTE), lambda: simulation.news.desk_tells(ticket))

    def _themself(self, ticket: str) -> str:
        """Desk id of the person whom the ticket is about; nobody's where they are no user."""
        desk = self._simulation.desk
        details = next((one.details for one in desk.tickets if one.id == ticket), "")
        return next((user.id for user in desk.users if user.directory_id and f"Directory id: {user.directory_id}" in details), "agent-9")

    def _left(self, user: str) -> bool:
        """Whether they were gone by now, for good, and so long that no replica shows them any more."""
        identity = next((one.directory_id for one in self._simulation.desk.users if one.id == user), "")
        return self._leave.get(identity, float("inf")) < self._simulation.now - 2 * MINUTE


def left_for_good(character: Character) -> float | None:
    """When they were last enabled; None where they still are."""
    gone: float | None = None
    for scene in scenes(character):
        here = scene.state == "here" and scene.person is not None and scene.person.account_enabled
        gone = None if here or scene.person is None else gone or scene.start
    return gone


def manager(identity: str) -> Person:
    """Somebody who works here and leads others."""
    mail = f"{identity}@contoso.example"
    name = f"Manager {identity[1:]}"
    return Person(id=identity, user_principal_name=mail, mail=mail, display_name=name, employee_id=f"E-{identity}", user_type="Member")
