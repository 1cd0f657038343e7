"""The reference double of the service desk: it behaves as the real one promises to, in memory, and is late, deaf or broken on demand."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from joinery.domain.policy import DeskPolicy
from joinery.domain.tickets import (
    AddNote,
    AgentRef,
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
)
from joinery.engine.memory_desk_people import DeskAgents, DeskUsers
from joinery.engine.memory_desk_things import DeskCall, DeskThings
from joinery.engine.memory_desk_tickets import DeskApprovals, DeskTickets, ref
from joinery.engine.ports import CallBudget, Clock
from joinery.errors import OutcomeUnknown, Refused


@dataclass(kw_only=True, slots=True)
class _Trouble:
    """What is to happen to a call: an error before or after the effect, no effect at all, or an effect that comes later."""

    method: str = "perform"
    asks: type[Order] | None = None
    error: Exception | None = None
    after_effect: bool = False
    ignores: bool = False
    lands_after: timedelta | None = None


class MemoryServiceDesk(DeskThings):
    """A desk in memory. Safe to use from several threads.

    Tests read and change ``users``, ``tickets``, ``agents`` and ``notes``, make searches late with ``index_lag``, and count ``calls``.
    ``fail``, ``ignore`` and ``land_late`` decide what becomes of the next writes; ``answer`` and ``start_round`` are what people do.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        policy: DeskPolicy | None = None,
        search_lag: timedelta = timedelta(seconds=2),
        index_lag: timedelta = timedelta(0),
        budget: CallBudget | None = None,
    ) -> None:
        super().__init__(clock)
        self.search_lag = search_lag
        #: How long a new ticket or user stays invisible to ``find`` and ``find_similar``; a read by id shows it at once.
        self.index_lag = index_lag
        #: Asked once for every call of the port; None: as many as you like.
        self.budget = budget
        self.calls: list[DeskCall] = []
        policy = policy or DeskPolicy()
        self._users = DeskUsers(self, policy)
        self._agents = DeskAgents(self, self._users)
        self._tickets = DeskTickets(self, policy)
        self._approvals = DeskApprovals(self)
        self._troubles: deque[_Trouble] = deque()
        self._landing: list[tuple[datetime, Callable[[], Result]]] = []
        self._lock = threading.RLock()

    # --- what tests change ---

    def fail(
        self, error: Exception, *, asks: type[Order] | None = None, method: str = "perform", after_effect: bool = False, times: int = 1
    ) -> None:
        """The next ``times`` calls of a method (with this order, if named) raise ``error``; a write before or after its effect."""
        self._troubles.extend(_Trouble(method=method, asks=asks, error=error, after_effect=after_effect) for _ in range(times))

    def ignore(self, asks: type[Order] | None = None, *, times: int = 1) -> None:
        """The next ``times`` writes are answered with success and change nothing."""
        self._troubles.extend(_Trouble(asks=asks, ignores=True) for _ in range(times))

    def land_late(self, after: timedelta, *, asks: type[Order] | None = None) -> None:
        """The next write has an unknown outcome, and happens when ``after`` has passed."""
        self._troubles.append(_Trouble(asks=asks, lands_after=after))

    def mend(self) -> None:
        """Whatever was to become of the next calls is forgotten: they are done."""
        self._troubles.clear()

    def answer(self, ticket_id: str, user_id: str, approved: bool = True, *, how: str = "portal", by: str = "", words: str = "") -> None:
        """Somebody answers the round in progress, for the user who was asked: ``by`` is who, if not that user.

        ``how`` and ``words`` as in ``Answer``. Raises Refused where a desk would not take it: answered already, not asked, not an approver.
        """
        with self._lock:
            self._approvals.answer(ticket_id, user_id, approved, how=how, by=by, words=words)

    def start_round(self, ticket_id: str, *user_ids: str) -> None:
        """Somebody else starts a round of approval; the one before ends."""
        with self._lock:
            self._approvals.ask(ticket_id, user_ids, "")

    # --- the port ---

    def find(self, order: Order, key: str, *, quick: bool = False, ours: str | None = None) -> tuple[Result, ...]:
        """What this order with this key has made and a search shows by now."""
        with self._lock:
            self._received("find", order, key)
            match order:
                case OpenTicket():
                    seen = [ticket for ticket in self.tickets if ticket.key == key and self._indexed(ticket.created_at)]
                    living = [ticket for ticket in seen if not ticket.deleted] or seen
                    return tuple(ref(ticket, how="adopted") for ticket in sorted(living, key=lambda ticket: int(ticket.id)))
                case AddNote() | EndTicket():
                    return tuple(
                        NoteRef(ticket_id=note.ticket_id, id=note.id)
                        for note in self.notes
                        if note.ticket_id == order.ticket_id and note.key == key
                    )
                case AskApproval():
                    return self._approvals.found(order, key)
                case EnsureUser() | EnsureApprover():
                    return self._users.found(order)
                case EnsureAgent():
                    return self._agents.found(order)
                case _:
                    return ()

    def find_similar(self, order: Order) -> Result | None:
        """An open ticket without a key for the same user and kind, if policy says to adopt it."""
        with self._lock:
            self._received("find_similar", order, "")
            if not isinstance(order, OpenTicket):
                return None
            return self._tickets.similar(order, [ticket for ticket in self.tickets if self._indexed(ticket.created_at)])

    def perform(self, order: Order, key: str, *, within: timedelta) -> Result:
        """Do it, or what the next trouble says."""
        with self._lock:
            trouble = self._received("perform", order, key)
            if trouble is None:
                return self._do(order, key)
            if trouble.lands_after is not None:
                self._landing.append((self.now() + trouble.lands_after, lambda: self._do(order, key)))
                raise OutcomeUnknown("the connection was lost; it lands later")
            if trouble.ignores:
                return self._pretend(order)
            if trouble.after_effect:
                self._do(order, key)
            raise trouble.error or OutcomeUnknown("the connection was lost")

    def read_back(self, order: Order, key: str, result: Result) -> ReadBack:
        """Whether it is so, whatever a search shows."""
        with self._lock:
            self._received("read_back", order, key)
            wrong = self._wrong(order, key, result)
            return ReadBack(ok=not wrong, detail=wrong or "it is so")

    def ticket_state(self, ticket_id: str) -> TicketState:
        """Where a ticket's approval stands."""
        with self._lock:
            self._received("ticket_state", None, ticket_id)
            return self._approvals.state(ticket_id)

    def awaiting(self) -> frozenset[str]:
        """Open tickets in the status that says so."""
        with self._lock:
            self._received("awaiting", None, "")
            return self._approvals.awaiting()

    def _do(self, order: Order, key: str) -> Result:
        match order:
            case OpenTicket():
                return self._tickets.open(order, key)
            case AddNote():
                return self._tickets.note(order, key)
            case CloseTicket():
                return self._tickets.close(order)
            case EndTicket():
                return self._tickets.end(order, key)
            case AskApproval():
                return self._approvals.ask(order.ticket_id, order.user_ids, key, order.text)
            case EnsureUser() | EnsureApprover():
                return self._users.ensure(order)
            case UpdateUser():
                return self._users.update(order)
            case FindUser():
                user = self._users.look_up(order)
                return UserRef(id=user.id, how="found") if user else UserRef(id=None, how="absent")
            case DeactivateUser():
                if order.user_id is None:
                    return UserRef(id=None, how="absent")
                self.user(order.user_id).active = False
                return UserRef(id=order.user_id, how="deactivated")
            case EnsureAgent():
                return self._agents.ensure(order)
            case SetRoles():
                return self._agents.set_roles(order)
            case RetireAgent():
                return self._agents.retire(order)

    def _pretend(self, order: Order) -> Result:
        """The answer of a write that changed nothing."""
        match order:
            case OpenTicket():
                return TicketRef(id=self.next_id())
            case CloseTicket(ticket_id=ticket_id):
                return TicketRef(id=ticket_id, how="closed")
            case AddNote(ticket_id=ticket_id) | EndTicket(ticket_id=ticket_id):
                return NoteRef(ticket_id=ticket_id, id="1")
            case AskApproval(ticket_id=ticket_id):
                return RoundRef(ticket_id=ticket_id, number="999")
            case EnsureUser() | EnsureApprover() | FindUser():
                user = self._users.pick(order.person)
                return UserRef(id=user.id, how="adopted") if user else UserRef(id=self.next_id(), how="created")
            case UpdateUser():
                return UserRef(id=order.user_id, how="updated")
            case DeactivateUser():
                return UserRef(id=order.user_id, how="deactivated")
            case EnsureAgent():
                return AgentRef(ids=(self.next_id(),))
            case SetRoles():
                return RolesRef(id=order.agent_id or self.next_id(), roles=tuple(sorted(order.roles)))
            case RetireAgent():
                agents = self._agents.of(order)
                return AgentRef(ids=tuple(agent.id for agent in agents), roles_removed=sum(len(agent.roles) for agent in agents))

    def _wrong(self, order: Order, key: str, result: Result) -> str:
        match order, result:
            case OpenTicket(), TicketRef():
                return self._tickets.wrong_opened(order, key, result)
            case CloseTicket(), TicketRef():
                return self._tickets.wrong_closed(order)
            case AddNote(), NoteRef():
                there = any((note.ticket_id, note.id, note.key) == (result.ticket_id, result.id, key) for note in self.notes)
                return "" if there else f"note {result.id} is not on ticket {result.ticket_id}"
            case EndTicket(), NoteRef():
                return self._tickets.wrong_ended(order)
            case AskApproval(), RoundRef():
                return self._approvals.wrong_asked(order, result)
            case ((EnsureUser() | EnsureApprover()), UserRef()):
                return self._users.wrong_ensured(order, result)
            case UpdateUser(), UserRef():
                return self._users.wrong_updated(order)
            case FindUser(), UserRef():
                now = self._users.look_up(order)
                return "" if (now.id if now else None) == result.id else f"found {now.id if now else 'none'}, not {result.id or 'none'}"
            case DeactivateUser(), UserRef():
                active = any(user.id == order.user_id and user.active for user in self.users)
                return f"user {order.user_id} is still active" if active else ""
            case EnsureAgent(), AgentRef():
                return self._agents.wrong_ensured(result)
            case SetRoles(), RolesRef():
                return self._agents.wrong_roles(order, result)
            case RetireAgent(), AgentRef():
                return self._agents.wrong_retired(order, result)
            case _:
                raise TypeError(f"{type(result).__name__} is not the result of {type(order).__name__}")

    def _received(self, method: str, order: Order | None, key: str) -> _Trouble | None:
        """Note the call; return the trouble that waits for a write, raise the one that waits for a read."""
        self._land()
        if self.budget is not None:
            self.budget.spend()
        self.calls.append(DeskCall(method=method, order=order, key=key))
        for index, trouble in enumerate(self._troubles):
            if trouble.method == method and (trouble.asks is None or isinstance(order, trouble.asks)):
                del self._troubles[index]
                if method != "perform" and trouble.error is not None:
                    raise trouble.error
                return trouble
        return None

    def _land(self) -> None:
        """Let what was late happen; what is refused by then simply never happens."""
        due = [landing for landing in self._landing if landing[0] <= self.now()]
        self._landing = [landing for landing in self._landing if landing not in due]
        for _, write in sorted(due, key=lambda landing: landing[0]):
            with suppress(Refused):
                write()

    def _indexed(self, created_at: datetime) -> bool:
        return created_at + self.index_lag <= self.now()
