"""A desk that plans: it reads where reading is harmless, and touches nothing."""

from __future__ import annotations

from datetime import timedelta

from joinery.domain.tickets import (
    AddNote,
    AgentRef,
    Answer,
    AskApproval,
    CloseTicket,
    DeactivateUser,
    EndTicket,
    EnsureAgent,
    EnsureApprover,
    EnsureUser,
    FindUser,
    NoteRef,
    OpenTicket,
    Order,
    ReadBack,
    Result,
    RetireAgent,
    RolesRef,
    RoundRef,
    SetRoles,
    TicketRef,
    TicketState,
    UpdateUser,
    UserRef,
    Verdict,
)
from joinery.engine.ports import ServiceDesk

#: The id of everything that was only planned.
PLANNED = "planned"


class DryRunServiceDesk:
    """Wraps a desk: creates and writes become plans, a ``FindUser`` is a real read."""

    def __init__(self, desk: ServiceDesk) -> None:
        self._desk = desk
        self.search_lag = timedelta(0)

    def find(self, order: Order, key: str, *, quick: bool = False, ours: str | None = None) -> tuple[Result, ...]:
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
            case EnsureUser() | EnsureApprover():
                return UserRef(id=PLANNED, how=PLANNED)
            case UpdateUser(user_id=user_id) | DeactivateUser(user_id=user_id):
                return UserRef(id=user_id, how=PLANNED)
            case OpenTicket():
                return TicketRef(id=PLANNED, how=PLANNED)
            case CloseTicket(ticket_id=ticket_id):
                return TicketRef(id=ticket_id, how=PLANNED)
            case AskApproval(ticket_id=ticket_id):
                return RoundRef(ticket_id=ticket_id, number=PLANNED)
            case EnsureAgent():
                return AgentRef(ids=(PLANNED,))
            case SetRoles(agent_id=agent_id, roles=roles):
                return RolesRef(id=agent_id or (PLANNED if roles else None), roles=tuple(sorted(roles)))
            case AddNote(ticket_id=ticket_id) | EndTicket(ticket_id=ticket_id):
                return NoteRef(ticket_id=ticket_id, id=PLANNED)
            case RetireAgent():
                return AgentRef()

    def read_back(self, order: Order, key: str, result: Result) -> ReadBack:
        """Planned is as far as it goes."""
        return ReadBack(ok=True, detail=PLANNED)

    def ticket_state(self, ticket_id: str) -> TicketState:
        """What was only planned counts as approved, so that the plan shows what would follow; the rest is a real read."""
        if ticket_id != PLANNED:
            return self._desk.ticket_state(ticket_id)
        agreed = Answer(asked=PLANNED, verdict=Verdict.APPROVED, by=PLANNED, how=PLANNED)
        return TicketState(there=True, round=PLANNED, answers=(agreed,))

    def awaiting(self) -> frozenset[str]:
        """A real read."""
        return self._desk.awaiting()
