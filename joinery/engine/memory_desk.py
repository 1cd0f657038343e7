"""The reference double of the service desk: it behaves as the real one promises to, in memory, and is late, deaf or broken on demand."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from joinery.domain.person import Person
from joinery.domain.policy import DeskPolicy
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
from joinery.engine.memory_desk_things import SOME_DAY, DeskAgent, DeskCall, DeskNote, DeskTicket, DeskUser
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


class MemoryServiceDesk:
    """A desk in memory. Safe to use from several threads.

    Tests read and change ``users``, ``tickets``, ``agents`` and ``notes``, make searches late with ``index_lag``, and count ``calls``.
    ``fail``, ``ignore`` and ``land_late`` decide what becomes of the next writes.
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
        self.search_lag = search_lag
        #: How long a new ticket or user stays invisible to ``find`` and ``find_similar``; a read by id shows it at once.
        self.index_lag = index_lag
        #: Asked once for every call of the port; None: as many as you like.
        self.budget = budget
        self.users: list[DeskUser] = []
        self.tickets: list[DeskTicket] = []
        self.agents: list[DeskAgent] = []
        self.notes: list[DeskNote] = []
        self.calls: list[DeskCall] = []
        self._clock = clock
        self._policy = policy or DeskPolicy()
        self._troubles: deque[_Trouble] = deque()
        self._landing: list[tuple[datetime, Callable[[], Result]]] = []
        self._lock = threading.RLock()
        self._last_id = 100

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

    def put_user(self, **fields: str | bool) -> DeskUser:
        """A user whom somebody else made; an id is given if none is named."""
        user = DeskUser(**{"id": self._next_id(), **fields})  # type: ignore[arg-type]  # fields of DeskUser
        self.users.append(user)
        return user

    def put_agent(self, address: str, *roles: str, enabled: bool = True) -> DeskAgent:
        """An agent with these roles."""
        agent = DeskAgent(id=self._next_id(), address=address, roles=roles, enabled=enabled)
        self.agents.append(agent)
        return agent

    def put_ticket(self, **fields: object) -> DeskTicket:
        """A ticket that somebody else opened."""
        ticket = DeskTicket(**{"id": self._next_id(), "summary": "", "created_at": self._now(), **fields})  # type: ignore[arg-type]
        self.tickets.append(ticket)
        return ticket

    # --- the port ---

    def find(self, order: Order, key: str, *, quick: bool = False) -> tuple[Result, ...]:
        """What this order with this key has made and a search shows by now."""
        with self._lock:
            self._received("find", order, key)
            match order:
                case OpenTicket():
                    seen = [ticket for ticket in self.tickets if ticket.key == key and self._indexed(ticket.created_at)]
                    living = [ticket for ticket in seen if not ticket.deleted] or seen
                    return tuple(self._ref(ticket, how="adopted") for ticket in sorted(living, key=lambda ticket: int(ticket.id)))
                case AddNote():
                    return tuple(
                        NoteRef(ticket_id=note.ticket_id, id=note.id)
                        for note in self.notes
                        if note.ticket_id == order.ticket_id and note.key == key
                    )
                case EnsureUser():
                    return tuple(UserRef(id=user.id) for user in self._linked(order.person) if user.active)
                case _:
                    return ()

    def find_similar(self, order: Order) -> Result | None:
        """An open ticket without a key for the same user and kind, if policy says to adopt it."""
        with self._lock:
            self._received("find_similar", order, "")
            if not isinstance(order, OpenTicket) or order.user_id is None:
                return None
            policy = self._policy.tickets.get(order.kind)
            if policy is None or not policy.adopt_similar:
                return None
            for ticket in sorted(self.tickets, key=lambda ticket: int(ticket.id)):
                same = ticket.user_id == order.user_id and ticket.kind == order.kind
                if same and not ticket.key and not ticket.closed and not ticket.deleted and self._indexed(ticket.created_at):
                    return self._ref(ticket, how="adopted")
            return None

    def perform(self, order: Order, key: str, *, within: timedelta) -> Result:
        """Do it, or what the next trouble says."""
        with self._lock:
            trouble = self._received("perform", order, key)
            if trouble is None:
                return self._do(order, key)
            if trouble.lands_after is not None:
                self._landing.append((self._now() + trouble.lands_after, lambda: self._do(order, key)))
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

    def _do(self, order: Order, key: str) -> Result:
        match order:
            case OpenTicket():
                return self._open(order, key)
            case AddNote():
                if not any(ticket.id == order.ticket_id and not ticket.deleted for ticket in self.tickets):
                    raise Refused(f"there is no ticket {order.ticket_id}")
                number = 1 + sum(note.ticket_id == order.ticket_id for note in self.notes)
                self.notes.append(DeskNote(ticket_id=order.ticket_id, id=str(number), text=order.text, key=key))
                return NoteRef(ticket_id=order.ticket_id, id=str(number))
            case EnsureUser():
                return self._ensure(order.person)
            case FindUser():
                user = self._pick(order.person) or self._known(order)
                return UserRef(id=user.id, how="found") if user else UserRef(id=None, how="absent")
            case DeactivateUser():
                if order.user_id is None:
                    return UserRef(id=None, how="absent")
                self._user(order.user_id).active = False
                return UserRef(id=order.user_id, how="deactivated")
            case RetireAgent():
                agents = self._agents_of(order)
                for agent in agents:
                    self._refuse_if_anothers(agent, order.person)
                removed = sum(len(agent.roles) for agent in agents)
                for agent in agents:
                    agent.roles, agent.enabled = (), False
                for agent in self.agents:
                    if agent not in agents and agent.address in order.person.former_addresses and (agent.roles or agent.enabled):
                        raise Refused(f"agent {agent.id} has an address that this person had before")
                return AgentRef(ids=tuple(agent.id for agent in agents), roles_removed=removed)

    def _pretend(self, order: Order) -> Result:
        """The answer of a write that changed nothing."""
        match order:
            case OpenTicket():
                return TicketRef(id=self._next_id())
            case AddNote():
                return NoteRef(ticket_id=order.ticket_id, id="1")
            case EnsureUser() | FindUser():
                user = self._pick(order.person)
                return UserRef(id=user.id, how="adopted") if user else UserRef(id=self._next_id(), how="created")
            case DeactivateUser():
                return UserRef(id=order.user_id, how="deactivated")
            case RetireAgent():
                agents = self._agents_of(order)
                return AgentRef(ids=tuple(agent.id for agent in agents), roles_removed=sum(len(agent.roles) for agent in agents))

    def _open(self, order: OpenTicket, key: str) -> TicketRef:
        if order.kind not in self._policy.tickets:
            raise Refused(f"policy.toml: [desk.tickets.{order.kind}] is missing")
        if order.user_id is not None:
            self._user(order.user_id)
        ticket = self.put_ticket(
            summary=f"{order.summary} [{key}]", kind=order.kind, details=order.details, user_id=order.user_id, key=key, to_do=order.to_do
        )
        return self._ref(ticket, how="created")

    def _ensure(self, person: Person) -> UserRef:
        user = self._pick(person)
        if user is None:
            if taken := [user for user in self.users if self._at(user.address, person)]:
                raise Refused(f"user {taken[0].id} has this person's address and another directory id")
            site = next(
                ((rule.client, rule.site) for rule in self._policy.site_rules if _same(getattr(person, rule.attribute, ""), rule.value)),
                (self._policy.default_client, self._policy.default_site),
            )
            made = self.put_user(
                name=person.name,
                address=person.address,
                directory_id=person.id,
                client=site[0],
                site=site[1],
            )
            return UserRef(id=made.id, how="created")
        how = "found" if user.active and user.directory_id else "adopted" if user.active else "reactivated"
        user.active, user.directory_id = True, person.id
        return UserRef(id=user.id, how=how)

    def _wrong(self, order: Order, key: str, result: Result) -> str:
        match order, result:
            case OpenTicket(), TicketRef():
                ticket = next((ticket for ticket in self.tickets if ticket.id == result.id), None)
                if ticket is None:
                    return f"ticket {result.id} is not there"
                if ticket.deleted:
                    return f"ticket {ticket.id} is deleted"
                if order.user_id is not None and ticket.user_id != order.user_id:
                    return f"ticket {ticket.id} is for user {ticket.user_id}, not {order.user_id}"
                similar = result.how == "adopted" and not ticket.key and self._policy.tickets[order.kind].adopt_similar
                return "" if similar or ticket.key == key else f"ticket {ticket.id} does not carry our key"
            case AddNote(), NoteRef():
                there = any((note.ticket_id, note.id, note.key) == (result.ticket_id, result.id, key) for note in self.notes)
                return "" if there else f"note {result.id} is not on ticket {result.ticket_id}"
            case EnsureUser(), UserRef():
                user = next((user for user in self.users if user.id == result.id), None)
                if user is None or not user.active:
                    return f"user {result.id} is {'still inactive' if user else 'not there'}"
                return "" if _same(user.directory_id, order.person.id) else f"user {user.id} is not linked to the directory account"
            case FindUser(), UserRef():
                now = self._pick(order.person) or self._known(order)
                return "" if (now.id if now else None) == result.id else f"found {now.id if now else 'none'}, not {result.id or 'none'}"
            case DeactivateUser(), UserRef():
                active = any(user.id == order.user_id and user.active for user in self.users)
                return f"user {order.user_id} is still active" if active else ""
            case RetireAgent(), AgentRef():
                agents = [agent for agent in self.agents if agent.id in result.ids] or self._agents_of(order)
                enabled = [f"agent {agent.id} is still enabled" for agent in agents if agent.enabled]
                roles = [f"agent {agent.id} still has {len(agent.roles)} roles" for agent in agents if agent.roles]
                return "; ".join(enabled + roles)
            case _:
                raise TypeError(f"{type(result).__name__} is not the result of {type(order).__name__}")

    def _linked(self, person: Person) -> list[DeskUser]:
        return sorted((user for user in self.users if _same(user.directory_id, person.id)), key=lambda user: int(user.id))

    def _pick(self, person: Person) -> DeskUser | None:
        """By directory id, active ones first, then by address among those that nobody linked."""
        linked = self._linked(person)
        if linked:
            return min(linked, key=lambda user: (not user.active, int(user.id)))
        free = [user for user in self.users if not user.directory_id and self._at(user.address, person)]
        free = [user for user in free if user.active] or free
        if len(free) > 1:
            raise Refused(f"users {', '.join(user.id for user in free)} share this person's address")
        return free[0] if free else None

    def _known(self, order: FindUser) -> DeskUser | None:
        return next((user for user in self._linked(order.person) if user.id == order.known_id), None)

    def _agents_of(self, order: RetireAgent) -> list[DeskAgent]:
        """By the person's addresses, and by the address that their user on the desk has."""
        users = [user.address for user in self.users if user.id == order.user_id]
        return [
            agent for agent in self.agents if self._at(agent.address, order.person) or any(_same(agent.address, user) for user in users)
        ]

    def _refuse_if_anothers(self, agent: DeskAgent, person: Person) -> None:
        for user in self.users:
            if _same(user.address, agent.address) and user.directory_id and not _same(user.directory_id, person.id):
                raise Refused(f"agent {agent.id} has the address of user {user.id}, who belongs to another directory account")

    def _user(self, user_id: str) -> DeskUser:
        for user in self.users:
            if user.id == user_id:
                return user
        raise Refused(f"there is no user {user_id}")

    @staticmethod
    def _at(address: str, person: Person) -> bool:
        return any(_same(address, known) for known in person.addresses)

    def _ref(self, ticket: DeskTicket, *, how: str) -> TicketRef:
        return TicketRef(id=ticket.id, url=f"memory:ticket/{ticket.id}", how=how)

    def _received(self, method: str, order: Order, key: str) -> _Trouble | None:
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
        due = [landing for landing in self._landing if landing[0] <= self._now()]
        self._landing = [landing for landing in self._landing if landing not in due]
        for _, write in sorted(due, key=lambda landing: landing[0]):
            with suppress(Refused):
                write()

    def _indexed(self, created_at: datetime) -> bool:
        return created_at + self.index_lag <= self._now()

    def _next_id(self) -> str:
        self._last_id += 1
        return str(self._last_id)

    def _now(self) -> datetime:
        return self._clock.now() if self._clock else SOME_DAY


def _same(left: str, right: str) -> bool:
    return bool(left) and left.casefold() == right.casefold()
