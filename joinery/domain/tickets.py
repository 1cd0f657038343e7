"""Orders to the service desk, and what comes back. Orders are data: planning, auditing and testing need no desk.

Each class says whether it ``creates`` something new; then the engine looks before it repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """Make sure the desk has exactly one active user for this person: match directory id, then address, inactive ones too."""

    creates: ClassVar[bool] = True
    person: Person


@dataclass(frozen=True, kw_only=True, slots=True)
class FindUser:
    """Find the desk's user for this person, inactive ones too; creates nothing.

    ``known_id`` is who it was before: a search may not show them yet. It only counts if that user is still this person's.
    """

    creates: ClassVar[bool] = False
    person: Person
    known_id: str | None = None


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

    They are known by the addresses that the person has and had, and by what their user on the desk (``user_id``) says.
    """

    creates: ClassVar[bool] = False
    person: Person
    user_id: str | None = None


#: Everything one can ask a desk to do.
Order = EnsureUser | FindUser | OpenTicket | AddNote | DeactivateUser | RetireAgent


@dataclass(frozen=True, kw_only=True, slots=True)
class UserRef:
    """A desk user. ``id`` None: there is none."""

    id: str | None
    #: created, adopted, reactivated, found, deactivated, absent.
    how: str = "found"


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketRef:
    """A ticket on the desk; ``url`` opens it in a browser."""

    id: str
    url: str = ""
    #: created, adopted.
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


#: What a performed order returns.
Result = UserRef | TicketRef | NoteRef | AgentRef


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadBack:
    """What a later read, in a request of its own, says about an order: did it really happen."""

    ok: bool
    #: For people, without names or addresses: "user 12 is still active".
    detail: str = ""
