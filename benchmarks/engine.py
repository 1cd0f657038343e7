"""The engine as it is, with nothing around it that takes time or memory: a directory that stands still, a desk and a queue that keep nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from adapters.system import SystemClock, SystemRandomness
from joinery.app import App
from joinery.assembly import Ports, assemble
from joinery.domain.events import Joined
from joinery.domain.person import Sighting
from joinery.domain.policy import Timing
from joinery.domain.tickets import AddNote, EnsureUser, NoteRef, OpenTicket, Order, ReadBack, Result, TicketRef, UserRef
from joinery.engine.context import Context
from joinery.engine.envelope import Envelope, EnvelopeKind, person_subject
from joinery.engine.memory import FakeClock, MemorySealLog
from joinery.engine.memory_directory import MemoryDirectory
from joinery.engine.ports import DeadLetter, Outgoing, ServiceDesk, StateStore
from joinery.engine.recipes import Recipe, Workflow
from joinery.engine.retry import EngineTiming
from joinery.engine.standing_orders import SubscriptionUrls
from joinery.testing import DEPLOYMENT, TENANT, MemoryIntake, MemorySubscriptions, everyone, person

#: The group that every person here is in.
_JOINERS = "g-joiners"


class StillDirectory(MemoryDirectory):
    """Everybody who is asked for is there, and is a joiner; nobody is remembered."""

    def look(self, person_id: str, groups: Iterable[str]) -> Sighting:
        """The same person for the same id."""
        return person(person_id, groups=(_JOINERS,))


class ForgetfulDesk:
    """Does everything at once, says that it is so, and keeps nothing."""

    search_lag = timedelta(seconds=2)

    def find(self, order: Order, key: str, *, quick: bool = False, ours: str | None = None) -> tuple[Result, ...]:
        """Nothing was there before."""
        return ()

    def find_similar(self, order: Order) -> Result | None:
        """Nobody else opened anything."""
        return None

    def perform(self, order: Order, key: str, *, within: timedelta) -> Result:
        """What a desk answers to a create."""
        match order:
            case OpenTicket():
                return TicketRef(id="1")
            case AddNote(ticket_id=ticket):
                return NoteRef(ticket_id=ticket, id="1")
            case _:
                return UserRef(id="1", how="created")

    def read_back(self, order: Order, key: str, result: Result) -> ReadBack:
        """It is so."""
        return ReadBack(ok=True, detail="it is so")


class ForgetfulQueue:
    """Takes every message and delivers none."""

    def send(self, messages: Iterable[Outgoing]) -> None:
        """Taken."""

    def waiting(self) -> int | None:
        """None that anybody knows of."""
        return None

    def scheduled(self) -> int | None:
        """None that anybody knows of."""
        return None

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """None."""
        return ()

    def remove_dead_letter(self, letter_id: str) -> None:
        """Gone it is."""


def five_steps(ctx: Context) -> None:
    """Two values and three creates."""
    ctx.step("choose a team", lambda: "Service Desk")
    user = ctx.do("make sure the person is a user on the desk", EnsureUser(person=ctx.person))
    order = OpenTicket(kind="onboarding", person=ctx.person, user_id=user.id, summary="Onboarding", details="Somebody joins.")
    ticket = ctx.do("open the onboarding ticket", order)
    ctx.do("note what was done", AddNote(ticket_id=ticket.id, text="Everything is there."))
    ctx.step("count what was done", lambda: 3)


def engine_over(store: StateStore, recipe: Recipe, *, desk: ServiceDesk | None = None) -> App:
    """An App that cooks ``recipe`` for everybody at the first look, on the machine's clock."""
    clock = SystemClock()
    policy = replace(everyone(), timing=Timing(settle_time=timedelta(0)))
    directory = StillDirectory()
    for name in policy.watched_groups:
        directory.put_group(_JOINERS if name == policy.joiner_group else f"g-{name}".lower(), name=name)
    ports = Ports(
        clock=clock,
        randomness=SystemRandomness(),
        store=store,
        queue=ForgetfulQueue(),
        directory=directory,
        desk=desk or ForgetfulDesk(),
        subscriptions=MemorySubscriptions(FakeClock()),
        intake=MemoryIntake(),
        seals=MemorySealLog(),
    )
    return assemble(
        ports,
        policy=policy,
        catalogue={Joined: Workflow(name="joiner", version=1, recipe=recipe)},
        urls=SubscriptionUrls(notification_url="n", lifecycle_url="l", client_state="s", fingerprint="f"),
        tenant=TENANT,
        deployment=DEPLOYMENT,
        timing=EngineTiming(),
    )


def look_at(person_id: str) -> bytes:
    """The message that makes the engine look at somebody."""
    kind, subject = EnvelopeKind.LOOK, person_subject(person_id)
    return Envelope(tenant=TENANT, subject=subject, kind=kind, cause="benchmark", at=SystemClock().now()).encode()
