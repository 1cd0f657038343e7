"""A desk that plans: it reads where reading is harmless, and touches nothing."""

from __future__ import annotations

from datetime import timedelta

from joinery.domain.tickets import (
    AddNote,
    AgentRef,
    DeactivateUser,
    EnsureUser,
    FindUser,
    NoteRef,
    OpenTicket,
    Order,
    ReadBack,
    Result,
    RetireAgent,
    TicketRef,
    UserRef,
)
from joinery.engine.ports import ServiceDesk

#: The id of everything that was only planned.
PLANNED = "planned"


class DryRunServiceDesk:
    """Wraps a desk: creates and writes become plans, a ``FindUser`` is a real read."""

    def __init__(self, desk: ServiceDesk) -> None:
        self._desk = desk
        self.search_lag = timedelta(0)

    def find(self, order: Order, key: str, *, quick: bool = False) -> tuple[Result, ...]:
        """Nothing: a plan leaves no trace that could be found."""
        return ()

    def find_similar(self, order: Order) -> Result | None:
        """What the real desk would adopt."""
        return self._desk.find_similar(order)

    def perform(self, order: Order, key: str, *, within: timedelta) -> Result:
        """Answer as if it were done."""
        match order:
            case FindUser():
                return self._desk.perform(order, key, within=within)
            case EnsureUser():
                return UserRef(id=PLANNED, how=PLANNED)
            case DeactivateUser(user_id=user_id):
                return UserRef(id=user_id, how=PLANNED)
            case OpenTicket():
                return TicketRef(id=PLANNED, how=PLANNED)
            case AddNote(ticket_id=ticket_id):
                return NoteRef(ticket_id=ticket_id, id=PLANNED)
            case RetireAgent():
                return AgentRef()

    def read_back(self, order: Order, key: str, result: Result) -> ReadBack:
        """Planned is as far as it goes."""
        return ReadBack(ok=True, detail=PLANNED)
