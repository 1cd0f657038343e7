"""HaloITSM as a ServiceDesk: each order goes to the file of its noun."""

from __future__ import annotations

from datetime import timedelta

from adapters.halo.agents import Agents
from adapters.halo.answers import BadRequest
from adapters.halo.approvals import Approvals
from adapters.halo.client import HaloClient
from adapters.halo.deadline import Deadline
from adapters.halo.names import Names
from adapters.halo.notes import Notes
from adapters.halo.profiles import Profiles
from adapters.halo.roles import Roles
from adapters.halo.tickets import Tickets
from adapters.halo.users import Users
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


class HaloServiceDesk:
    """The desk as one Halo, spoken to through one client.

    Args:
        deployment: stands in every key we make, so that a key of ours is known when seen.
        search_lag: how long a new ticket may stay invisible to lists (60 s for a real Halo, 2 s for the stand-in).
        key_field: name of the custom field that holds the key; where a tenant has none, the summary alone carries it.
    """

    def __init__(
        self, client: HaloClient, policy: DeskPolicy, *, deployment: str, search_lag: timedelta, key_field: str = "CFjoineryKey"
    ) -> None:
        self.search_lag = search_lag
        self._client = client
        self._names = Names(client)
        self._users = Users(client, self._names, policy)
        self._agents = Agents(client, self._names, self._users)
        self._profiles = Profiles(client, self._names, self._users, self._agents, policy)
        self._roles = Roles(client, self._names, self._agents)
        self._notes = Notes(client, self._names)
        self._tickets = Tickets(client, self._names, self._users, policy, deployment=deployment, key_field=key_field)
        self._approvals = Approvals(client, self._names, self._notes, self._tickets, policy)

    def find(self, order: Order, key: str, *, quick: bool = False, ours: str | None = None) -> tuple[Result, ...]:
        """What this order with this key has made. Orders that write a target value make nothing: repeat them."""
        match order:
            case OpenTicket():
                return self._tickets.find(key, quick=quick, ours=ours)
            case AddNote() | EndTicket():
                return self._notes.find(order, key)
            case AskApproval():
                return self._approvals.find(order, key, ours=ours)
            case EnsureUser() | EnsureApprover():
                return self._users.find(order, quick=quick, ours=ours)
            case EnsureAgent():
                return self._agents.find(order, ours=ours)
            case _:
                return ()

    def find_similar(self, order: Order) -> Result | None:
        """A ticket that somebody else opened for the same person and kind, if policy says to adopt it."""
        return self._tickets.find_similar(order) if isinstance(order, OpenTicket) else None

    def perform(self, order: Order, key: str, *, within: timedelta) -> Result:
        """Do it within one total deadline, reads that it needs included; each write is one request, sent once."""
        deadline = self._client.deadline(within)
        try:
            return self._perform(order, key, deadline)
        except BadRequest:
            # A type, team, site or field may have been removed or made anew since its id was read: the next try asks again.
            self._names.forget()
            raise

    def read_back(self, order: Order, key: str, result: Result) -> ReadBack:
        """Ask again whether it is so."""
        match order, result:
            case OpenTicket(), TicketRef():
                return self._tickets.check(order, key, result)
            case AddNote(), NoteRef():
                return self._notes.check(order, key, result)
            case CloseTicket(), TicketRef():
                return self._approvals.check_closed(order)
            case EndTicket(), NoteRef():
                return self._approvals.check_ended(order)
            case AskApproval(), RoundRef():
                return self._approvals.check(order, result)
            case ((EnsureUser() | EnsureApprover()), UserRef()):
                return self._users.check_ensured(order, result)
            case UpdateUser(), UserRef():
                return self._profiles.check(order)
            case FindUser(), UserRef():
                return self._users.check_looked_up(order, result)
            case DeactivateUser(), UserRef():
                return self._users.check_deactivated(order)
            case EnsureAgent(), AgentRef():
                return self._agents.check_ensured(order, result)
            case SetRoles(), RolesRef():
                return self._roles.check(order, result)
            case RetireAgent(), AgentRef():
                return self._agents.check_retired(order, result)
            case _:
                raise TypeError(f"{type(result).__name__} is not the result of {type(order).__name__}")

    def ticket_state(self, ticket_id: str) -> TicketState:
        """Where a ticket's approval stands, from the rows of its present round."""
        return self._approvals.state(ticket_id)

    def awaiting(self) -> frozenset[str]:
        """Open tickets in the status that awaits an approval."""
        return self._approvals.awaiting()

    def _perform(self, order: Order, key: str, deadline: Deadline) -> Result:
        match order:
            case OpenTicket():
                return self._tickets.open(order, key, deadline)
            case AddNote():
                return self._notes.add(order, key, deadline)
            case CloseTicket():
                return self._approvals.close(order, key, deadline)
            case EndTicket():
                return self._approvals.end(order, key, deadline)
            case AskApproval():
                return self._approvals.ask(order, key, deadline)
            case EnsureUser() | EnsureApprover():
                return self._users.ensure(order, deadline)
            case UpdateUser():
                return self._profiles.update(order, deadline)
            case FindUser():
                return self._users.look_up(order, deadline)
            case DeactivateUser():
                return self._users.deactivate(order, deadline)
            case EnsureAgent():
                return self._agents.ensure(order, deadline)
            case SetRoles():
                return self._roles.set(order, deadline)
            case RetireAgent():
                return self._agents.retire(order, deadline)
