"""Orders to the service desk, and what comes back. Orders are data: planning, auditing and testing need no desk.

Each class says whether it ``creates`` something new; then the engine looks before it repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from joinery.domain.person import Person


@dataclass(frozen=True, kw_only=True, slots=True)
class ToDo:
    """One row of a ticket's task list: what, who does it, and when in words."""

    text: str
    owner: str
    when: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsureUser:
    """Make sure the desk has exactly one active user for this person: match directory id, then address, inactive ones too.

    ``known_id`` is who it was before: if that user is still this person's, and active, nobody else is looked for.
    """

    creates: ClassVar[bool] = True
    person: Person
    known_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FindUser:
    """Find the desk's user for this person, inactive ones too; creates nothing.

    ``known_id`` is who it was before: a search may not show them yet. It only counts if that user is still this person's; if they are
    active too, nobody else is looked for, unless ``alone``: then a second active user of the same person is an objection.
    """

    creates: ClassVar[bool] = False
    person: Person
    known_id: str | None = None
    alone: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenTicket:
    """Open one ticket about a person. ``kind`` (``onboarding``, ``offboarding``) names ticket type and team in the policy."""

    creates: ClassVar[bool] = True
    kind: str
    person: Person
    #: Desk id of the person's user; None opens it for the site's general user.
    user_id: str | None
    summary: str
    details: str
    to_do: tuple[ToDo, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AddNote:
    """Say something on a ticket once, hidden from end users."""

    creates: ClassVar[bool] = True
    ticket_id: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeactivateUser:
    """Make the desk's user inactive. ``user_id`` None means that there is none: nothing to do."""

    creates: ClassVar[bool] = False
    user_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RetireAgent:
    """Empty the role list of the person's agents and disable them; none is fine.

    They are known by the addresses that the person has and had, and by what their user on the desk (``user_id``) says. ``known_id`` is an
    agent that was made or found for the person before: while it has an address of theirs, nobody else's claim to that address counts.
    """

    creates: ClassVar[bool] = False
    person: Person
    user_id: str | None = None
    known_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateUser:
    """Bring the desk's user in line with the person: name, addresses, department, title, manager, and client and site by policy.

    Where the address changes, the agent that had it goes along: agents are known by address alone.
    """

    creates: ClassVar[bool] = False
    person: Person
    user_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsureApprover:
    """Make sure the person has exactly one active user on the desk, as ``EnsureUser`` does, and that it may approve."""

    creates: ClassVar[bool] = True
    person: Person


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsureAgent:
    """Make sure the person has exactly one agent: match by address, disabled ones too. One that is disabled stays so until it gets a role.

    ``known_id`` as in ``RetireAgent``.
    """

    creates: ClassVar[bool] = True
    person: Person
    #: Display name of the team a new agent works in.
    team: str = ""
    user_id: str | None = None
    known_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SetRoles:
    """Make the agent's roles, as far as they are in ``ours``, exactly ``roles``. Others stay, unless ``alone``; without any role the agent is disabled.

    What is in ``as_they_are`` stays whatever else is said, and is not given.

    Roles are display names on the desk; ``known_id`` as in ``RetireAgent``.
    """

    creates: ClassVar[bool] = False
    person: Person
    #: None: whoever has the person's address; where there is nobody and no role is wanted, nothing is to be done.
    agent_id: str | None
    roles: tuple[str, ...]
    #: The allow-list: no role outside it is ever given, and none taken unless ``alone``.
    ours: tuple[str, ...]
    alone: bool = False
    as_they_are: tuple[str, ...] = ()
    known_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AskApproval:
    """Start a round of approval on a ticket: every one of ``user_ids`` is asked. A new round ends the one before.

    So where one order has made two rounds (the first call landed late), the later one counts, and is the first that ``find`` names.
    One answer decides a round: after it the desk takes no other.
    """

    creates: ClassVar[bool] = True
    ticket_id: str
    user_ids: tuple[str, ...]
    #: Counted by us from 1: the same round is never started twice.
    round: int = 1
    #: Said on the ticket with it, hidden from end users.
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CloseTicket:
    """Close a ticket and take back whatever approval waits on it; one that is closed stays as it is."""

    creates: ClassVar[bool] = False
    ticket_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EndTicket:
    """Say what came of a ticket, as ``AddNote`` does, and close it with that; for a ticket on which nothing waits for an approval any more."""

    creates: ClassVar[bool] = True
    ticket_id: str
    text: str


#: Everything one can ask a desk to do.
Order = (
    EnsureUser
    | FindUser
    | OpenTicket
    | AddNote
    | DeactivateUser
    | RetireAgent
    | UpdateUser
    | EnsureApprover
    | EnsureAgent
    | SetRoles
    | AskApproval
    | CloseTicket
    | EndTicket
)


@dataclass(frozen=True, kw_only=True, slots=True)
class UserRef:
    """A desk user. ``id`` None: there is none."""

    id: str | None
    #: created, adopted, reactivated, found, updated, deactivated, absent.
    how: str = "found"


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketRef:
    """A ticket on the desk; ``url`` opens it in a browser."""

    id: str
    url: str = ""
    #: created, adopted; of ``CloseTicket`` closed, or absent where it was deleted.
    how: str = "created"


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteRef:
    """A note on a ticket."""

    ticket_id: str
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentRef:
    """The agents a person has on the desk (usually none or one) and how many roles were taken away."""

    ids: tuple[str, ...] = ()
    roles_removed: int = 0

    @property
    def id(self) -> str | None:
        """The one agent that ``EnsureAgent`` made or found."""
        return self.ids[0] if self.ids else None


@dataclass(frozen=True, kw_only=True, slots=True)
class RolesRef:
    """An agent's roles after ``SetRoles``. ``id`` None: there is no agent, and none was wanted."""

    id: str | None
    #: Display names, sorted: everything the agent has now.
    roles: tuple[str, ...] = ()
    #: Roles it has that no rule of ours gives or leaves as they are; reported, and left alone unless policy says otherwise.
    foreign: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundRef:
    """A round of approval on a ticket; ``number`` is the desk's own."""

    ticket_id: str
    number: str

    @property
    def id(self) -> str:
        """What tells it from the other rounds of its ticket."""
        return self.number


#: What a performed order returns.
Result = UserRef | TicketRef | NoteRef | AgentRef | RolesRef | RoundRef


class Verdict(StrEnum):
    """How one asked person's answer stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One row of a round of approval, as the desk has it. An answer counts only where a row says so, never because of a ticket's status."""

    #: Desk id of the user who was asked.
    asked: str
    verdict: Verdict
    #: Desk id of who answered, a user's or an agent's; empty while pending.
    by: str = ""
    #: ``portal``, ``mail link``, ``agent``, ``delegate``, ``override``, ``automatic``; as far as the desk tells.
    how: str = ""
    #: ISO 8601, UTC.
    at: str = ""
    #: What they wrote with it, as they wrote it; it may name people.
    words: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketState:
    """Where a ticket with an approval stands: its present round and the answers in it."""

    #: False: deleted, or merged away.
    there: bool
    closed: bool = False
    #: The desk's number of the present round; empty where there is none. Another than ours was started by somebody else.
    round: str = ""
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadBack:
    """What a later read, in a request of its own, says about an order: did it really happen."""

    ok: bool
    #: For people, without names or addresses: "user 12 is still active".
    detail: str = ""
