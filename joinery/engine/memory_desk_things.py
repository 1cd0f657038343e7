"""What lies on a desk in memory: users, tickets, agents, notes, and the calls that were made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from joinery.domain.tickets import Order, ToDo

#: What a desk without a clock takes for now.
SOME_DAY = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


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


@dataclass(kw_only=True, slots=True)
class DeskAgent:
    """Somebody who works on the desk."""

    id: str
    address: str
    roles: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(kw_only=True, slots=True)
class DeskNote:
    """A note on a ticket, hidden from end users. Ids count per ticket."""

    ticket_id: str
    id: str
    text: str
    key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskCall:
    """One call that the desk received; ``method`` is a name of the port."""

    method: str
    order: Order
    key: str = ""
