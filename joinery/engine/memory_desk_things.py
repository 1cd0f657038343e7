"""What lies on a desk in memory: users, tickets, agents, notes, rounds of approval, and the calls that were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from joinery.domain.person import Person
from joinery.domain.tickets import Answer, Order, ToDo
from joinery.engine.ports import Clock
from joinery.errors import Refused

#: What a desk without a clock takes for now.
SOME_DAY = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

#: The status of a ticket whose approval is still to be answered.
AWAITING = "awaiting approval"


@dataclass(kw_only=True, slots=True)
class DeskUser:
    """A user of the desk."""

    id: str
    name: str = ""
    address: str = ""
    #: Id of the directory account; empty where nobody linked them.
    directory_id: str = ""
    active: bool = True
    client: str = ""
    site: str = ""
    department: str = ""
    title: str = ""
    manager_address: str = ""
    #: May answer approvals in the portal.
    approver: bool = False


@dataclass(kw_only=True, slots=True)
class DeskRound:
    """A round of approval: who is asked, and what they said. Only the last of a ticket is in progress."""

    number: str
    #: Empty where somebody else started it.
    key: str = ""
    answers: list[Answer] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class DeskTicket:
    """A ticket, closed and deleted ones too. ``key`` is empty where a human opened it."""

    id: str
    summary: str
    kind: str = ""
    details: str = ""
    user_id: str | None = None
    key: str = ""
    to_do: tuple[ToDo, ...] = ()
    created_at: datetime = SOME_DAY
    closed: bool = False
    deleted: bool = False
    status: str = "new"
    rounds: list[DeskRound] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class DeskAgent:
    """Somebody who works on the desk."""

    id: str
    address: str
    roles: tuple[str, ...] = ()
    enabled: bool = True
    name: str = ""
    team: str = ""


@dataclass(kw_only=True, slots=True)
class DeskNote:
    """A note on a ticket, hidden from end users. Ids count per ticket."""

    ticket_id: str
    id: str
    text: str
    key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskCall:
    """One call that the desk received; ``method`` is a name of the port. Without an order, ``key`` is a ticket's id or empty."""

    method: str
    order: Order | None
    key: str = ""


class DeskThings:
    """Everything that lies on the desk, open to tests."""

    def __init__(self, clock: Clock | None) -> None:
        self.users: list[DeskUser] = []
        self.tickets: list[DeskTicket] = []
        self.agents: list[DeskAgent] = []
        self.notes: list[DeskNote] = []
        #: Names that no role, or no team, of this desk has; every other name exists.
        self.no_such_roles: set[str] = set()
        self.no_such_teams: set[str] = set()
        #: How many enabled agents the licence allows; None: no ceiling.
        self.licences: int | None = None
        self._clock = clock
        self._last_id = 100

    def say(self, ticket_id: str, text: str, key: str) -> str:
        """A note; its number on the ticket."""
        number = str(1 + sum(note.ticket_id == ticket_id for note in self.notes))
        self.notes.append(DeskNote(ticket_id=ticket_id, id=number, text=text, key=key))
        return number

    def put_user(self, **fields: str | bool) -> DeskUser:
        """A user whom somebody else made; an id is given if none is named."""
        user = DeskUser(**{"id": self.next_id(), **fields})  # type: ignore[arg-type]  # fields of DeskUser
        self.users.append(user)
        return user

    def put_agent(self, address: str, *roles: str, enabled: bool = True, name: str = "", team: str = "") -> DeskAgent:
        """An agent with these roles."""
        agent = DeskAgent(id=self.next_id(), address=address, roles=roles, enabled=enabled, name=name, team=team)
        self.agents.append(agent)
        return agent

    def put_ticket(self, **fields: object) -> DeskTicket:
        """A ticket that somebody else opened."""
        ticket = DeskTicket(**{"id": self.next_id(), "summary": "", "created_at": self.now(), **fields})  # type: ignore[arg-type]
        self.tickets.append(ticket)
        return ticket

    def user(self, user_id: str) -> DeskUser:
        """The user with this id. Raises Refused."""
        for user in self.users:
            if user.id == user_id:
                return user
        raise Refused(f"there is no user {user_id}")

    def ticket(self, ticket_id: str) -> DeskTicket | None:
        """The ticket with this id; None where there is none or it is deleted."""
        return next((ticket for ticket in self.tickets if ticket.id == ticket_id and not ticket.deleted), None)

    def next_id(self) -> str:
        """An id that nothing has."""
        self._last_id += 1
        return str(self._last_id)

    def now(self) -> datetime:
        """This moment."""
        return self._clock.now() if self._clock else SOME_DAY


def same(left: str, right: str) -> bool:
    """Equal without case, and not empty."""
    return bool(left) and left.casefold() == right.casefold()


def has_address(address: str, person: Person) -> bool:
    """Whether the address is one of the person's."""
    return any(same(address, known) for known in person.addresses)
