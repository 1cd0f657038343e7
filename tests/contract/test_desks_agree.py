"""The double in memory and the adapter on the pretend Halo go through the same random days and say the same things about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from desk_worlds import ALEX, KEY, OTHER_KEY, WITHIN, HaloWorld, MemoryWorld, World
from hypothesis import given, settings
from hypothesis import strategies as st

from joinery.domain.tickets import (
    AddNote,
    AskApproval,
    CloseTicket,
    EnsureAgent,
    EnsureApprover,
    EnsureUser,
    OpenTicket,
    RetireAgent,
    SetRoles,
    UpdateUser,
)
from joinery.errors import Refused

KEYS = (KEY, OTHER_KEY)
ROLES = ("Service Desk", "Change Manager", "Read Only", "Problem Manager")
OURS = ROLES[:2]


class Side:
    """One desk on such a day: what was done is named by its order of coming, so that two desks with other numbers can be compared."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rounds: list[str] = []

    def tried(self, act: Callable[[], Any]) -> Any:
        """What came of it, or that it was refused."""
        try:
            return act()
        except Refused:
            return "refused"


class Approving(Side):
    """A ticket and three users, one of whom may not approve."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        order = OpenTicket(kind="onboarding", person=ALEX, user_id=None, summary="s", details="d")
        self.ticket = world.do(order).id
        people = [("boss@contoso.com", True), ("deputy@contoso.com", True), ("plain@contoso.com", False)]
        self.users = [world.add_user(address, approver=approver) for address, approver in people]

    def step(self, what: str, who: int, other: int, flag: bool) -> Any:
        world, user = self.world, self.users[who]
        asked = AskApproval(ticket_id=self.ticket, user_ids=tuple(dict.fromkeys((user, self.users[other]))))
        close = CloseTicket(ticket_id=self.ticket)
        acts: dict[str, Callable[[], Any]] = {
            "ask": lambda: self._started(world.desk.perform(asked, KEYS[flag], within=WITHIN).number),
            "note": lambda: world.do(AddNote(ticket_id=self.ticket, text="x"), KEYS[flag]).ticket_id == self.ticket,
            "answer": lambda: world.answer(self.ticket, user, flag),
            "delegate": lambda: world.answer(self.ticket, user, flag, by=self.users[other]) if who != other else None,
            "override": lambda: world.override(self.ticket, user),
            "foreign": lambda: world.start_round(self.ticket, user),
            "by hand": lambda: world.set_status(self.ticket, "approved" if flag else "in progress"),
            "close": lambda: world.desk.perform(close, KEY, within=WITHIN).how,
        }
        return self.tried(acts[what]), self.seen()

    def seen(self) -> Any:
        """Everything that the port tells about the ticket."""
        desk = self.world.desk
        state = desk.ticket_state(self.ticket)
        answers = [(self._name(one.asked), one.verdict, self._name(one.by), one.how, bool(one.at)) for one in state.answers]
        found = [[self._round(one.number) for one in desk.find(AskApproval(ticket_id=self.ticket, user_ids=()), key)] for key in KEYS]
        return state.there, state.closed, self._round(state.round), answers, self.ticket in desk.awaiting(), found

    def _started(self, number: str) -> int:
        self.rounds.append(number)
        return len(self.rounds)

    def _round(self, number: str) -> object:
        return self.rounds.index(number) if number in self.rounds else "none" if not number else "foreign"

    def _name(self, user_id: str) -> object:
        return self.users.index(user_id) if user_id in self.users else "nobody" if not user_id else "somebody"


class Working(Side):
    """Agents and users of one person."""

    def step(self, what: str, roles: Sequence[str], flag: bool) -> Any:
        world = self.world
        wanted = SetRoles(person=ALEX, agent_id=None, roles=tuple(role for role in roles if role in OURS), ours=OURS, alone=flag)
        user = self.tried(lambda: world.desk.perform(EnsureUser(person=ALEX), KEY, within=WITHIN).id)
        person = ALEX.evolve(department=roles[0] if roles else "", mail="alex.new@contoso.com" if flag else ALEX.mail)
        orders: dict[str, Any] = {
            "roles": wanted,
            "agent": EnsureAgent(person=ALEX),
            "retire": RetireAgent(person=ALEX, user_id=None if user == "refused" else user),
            "approver": EnsureApprover(person=ALEX),
            "update": UpdateUser(person=person, user_id=user),
        }
        if what == "another agent":
            came: Any = self.tried(lambda: bool(world.add_agent_with(ALEX.mail, *roles, enabled=flag)))
        else:
            came = self.tried(lambda: self._told(orders[what]))
        return came, self.seen(user)

    def seen(self, user: str) -> Any:
        """Everybody who works there, and the person's user."""
        return self._agents(), {**self.world.user(user)}

    def _told(self, order: Any) -> Any:
        result = self.world.desk.perform(order, KEY, within=WITHIN)
        told = {name: getattr(result, name) for name in ("roles", "foreign", "how", "roles_removed") if hasattr(result, name)}
        return told, len(getattr(result, "ids", ())), self.world.desk.read_back(order, KEY, result).ok

    def _agents(self) -> list[Any]:
        world = self.world
        ids = [agent.id for agent in world.memory.agents] if isinstance(world, MemoryWorld) else self._numbers(world)
        return sorted(world.roles(agent_id) for agent_id in ids)

    @staticmethod
    def _numbers(world: World) -> list[str]:
        assert isinstance(world, HaloWorld)
        return [str(row["id"]) for row in world.get("/Agent", includedisabled="true")["results"]]


def same_day(kind: type[Any], steps: Sequence[tuple[Any, ...]]) -> None:
    halo = HaloWorld()
    try:
        memory, other = kind(MemoryWorld()), kind(halo)
        for number, step in enumerate(steps):
            assert memory.step(*step) == other.step(*step), f"step {number}: {step}"
    finally:
        halo.halo.stop()


approving = st.tuples(
    st.sampled_from(("ask", "ask", "ask", "note", "answer", "answer", "delegate", "override", "foreign", "by hand", "close")),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
)
working = st.tuples(
    st.sampled_from(("roles", "roles", "roles", "agent", "retire", "approver", "update", "another agent")),
    st.lists(st.sampled_from(ROLES), unique=True, max_size=3),
    st.booleans(),
)


@given(st.lists(approving, min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_about_approvals(steps: list[tuple[Any, ...]]) -> None:
    same_day(Approving, steps)


@given(st.lists(working, min_size=1, max_size=10))
@settings(max_examples=25, deadline=None)
def test_about_agents_roles_and_users(steps: list[tuple[Any, ...]]) -> None:
    same_day(Working, steps)
