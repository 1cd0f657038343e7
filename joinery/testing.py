"""A whole Joinery in memory on a fake clock: for your own policy and recipes, and for ours. Ninety days pass in a blink.

::

    world = World()
    world.directory.put(person("ada", groups=("ITSM-NewJoiner",)))
    world.look("ada")
    world.pass_time(minutes=2)
    assert [ticket.summary for ticket in world.desk.tickets] == [...]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from joinery.app import App
from joinery.assembly import Ports, assemble
from joinery.domain.person import Person
from joinery.domain.policy import BreakerPolicy, Policy, Ring, WorkflowPolicy
from joinery.engine.alerts import LogOnly
from joinery.engine.budget import LeasedCallBudget
from joinery.engine.envelope import Envelope, EnvelopeKind, group_subject, person_subject
from joinery.engine.intake import Hint, Unacceptable
from joinery.engine.memory import FakeClock, MemoryQueue, MemorySealLog, MemoryStateStore, SeededRandomness
from joinery.engine.memory_desk import MemoryServiceDesk
from joinery.engine.memory_directory import MemoryDirectory
from joinery.engine.ports import AlertSink, Outgoing
from joinery.engine.readside import AuditLine, RunView
from joinery.engine.recipes import Catalogue
from joinery.engine.retry import EngineTiming
from joinery.engine.standing_orders import SubscriptionUrls

#: The tenant and deployment of every World.
TENANT, DEPLOYMENT = "local", "test"


class MemoryIntake:
    """Accepts what a test puts into ``hints``, whatever the body."""

    def __init__(self) -> None:
        self.hints: tuple[Hint, ...] = ()

    def read(self, body: bytes, content_type: str) -> tuple[Hint, ...]:
        """The hints; an empty body is refused."""
        if not body:
            raise Unacceptable(400, "the body is empty")
        return self.hints


class MemorySubscriptions:
    """Subscriptions that last 28 days and remember what was asked."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        #: The keyword arguments of every call.
        self.asked: list[Mapping[str, Any]] = []

    def ensure(
        self, *, notification_url: str, lifecycle_url: str, client_state: str, changed: bool, renew: bool = False
    ) -> Mapping[str, datetime]:
        """Both end in 28 days."""
        self.asked.append({"notification_url": notification_url, "client_state": client_state, "changed": changed, "renew": renew})
        ends = self._clock.now() + timedelta(days=28)
        return {"/users": ends, "/groups": ends}


def everyone(policy: Policy | None = None) -> Policy:
    """A policy whose workflows all act, with a breaker that lets a whole company go."""
    rings = {name: WorkflowPolicy(ring=Ring.EVERYONE) for name in ("joiner", "mover", "renamer", "role_change", "leaver")}
    return replace(
        policy or Policy(), workflows=rings, breaker=BreakerPolicy(hourly_min=1_000_000, daily_min=1_000_000, wave_min=1_000_000)
    )


def person(identity: str, **fields: Any) -> Person:
    """A plausible member of staff; ``groups`` are display names in a World."""
    plain: dict[str, Any] = {
        "user_principal_name": f"{identity}@contoso.example",
        "mail": f"{identity}@contoso.example",
        "display_name": identity.title(),
        "department": "Finance",
        "employee_id": f"E-{identity}"[:16],
        "user_type": "Member",
    }
    groups = frozenset(fields.pop("groups", ()))
    return Person(id=identity, **{**plain, **fields}, groups=groups)


class World:
    """Directory, desk, store, queue and clock in memory, and the App over them. ``desk_calls``: the call budget per 5 minutes, if any."""

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        catalogue: Catalogue | None = None,
        timing: EngineTiming | None = None,
        seed: int = 1,
        store: Any = None,
        desk: Any = None,
        alerts: AlertSink | None = None,
        desk_calls: int | None = None,
    ) -> None:
        if catalogue is None:
            from workflows import CATALOGUE

            catalogue = CATALOGUE
        self.policy = everyone() if policy is None else policy
        self.clock = FakeClock()
        self.store = store or MemoryStateStore()
        self.queue = MemoryQueue(self.clock)
        self.seals = MemorySealLog()
        self.directory = MemoryDirectory(clock=self.clock)
        self.desk: MemoryServiceDesk = desk or MemoryServiceDesk(clock=self.clock, policy=self.policy.desk)
        self.intake = MemoryIntake()
        self.subscriptions = MemorySubscriptions(self.clock)
        self._catalogue = catalogue
        self._timing = timing or EngineTiming()
        self._randomness = SeededRandomness(seed)
        self._alerts = alerts or LogOnly()
        self._desk_calls = desk_calls
        for name in self.policy.watched_groups:
            self.directory.put_group(f"g-{name}".lower(), name=name)
        self.app = self.restart()

    def restart(self) -> App:
        """A new process over the same store, queue and outside world."""
        if self._desk_calls is not None:
            self.desk.budget = LeasedCallBudget(self.store, clock=self.clock, randomness=self._randomness, calls=self._desk_calls)
        ports = Ports(
            clock=self.clock,
            randomness=self._randomness,
            store=self.store,
            queue=self.queue,
            directory=self.directory,
            desk=self.desk,
            subscriptions=self.subscriptions,
            intake=self.intake,
            alerts=self._alerts,
            seals=self.seals,
        )
        self.app = assemble(
            ports,
            policy=self.policy,
            catalogue=self._catalogue,
            urls=SubscriptionUrls(notification_url="n", lifecycle_url="l", client_state="s", fingerprint="f"),
            tenant=TENANT,
            deployment=DEPLOYMENT,
            timing=self._timing,
        )
        return self.app

    # --- what happens in the directory ---

    def put(self, someone: Person) -> None:
        """Create or replace a person, memberships included."""
        self.directory.put(someone.evolve(groups=frozenset()))
        for name in self.policy.watched_groups:
            group = f"g-{name}".lower()
            (self.directory.add_member if name in someone.groups else self.directory.end_membership)(group, someone.id)

    # --- what is queued, and handled ---

    def look(self, person_id: str, *, cause: str = "test", times: int = 1) -> None:
        """Queue a look and handle what is due."""
        self.queue_up(person_subject(person_id), EnvelopeKind.LOOK, cause=cause, times=times)
        self.work()

    def look_group(self, name: str, *, members: tuple[str, ...] = ()) -> None:
        """Queue news about a watched group and handle what is due."""
        self.queue_up(group_subject(f"g-{name}"), EnvelopeKind.LOOK_GROUP, members=members)
        self.work()

    def queue_up(self, subject: str, kind: EnvelopeKind, *, cause: str = "test", times: int = 1, members: tuple[str, ...] = ()) -> None:
        """Put an envelope into the queue without handling it."""
        envelope = Envelope(tenant=TENANT, subject=subject, kind=kind, cause=cause, at=self.clock.now(), members=members)
        self.queue.send([Outgoing(body=envelope.encode(), session_id=envelope.session_id)] * times)

    def work(self, *, at_most: int = 10_000) -> int:
        """Handle everything that may be received now; returns how many messages that were."""
        handled = 0
        while messages := self.queue.receive_due():
            for message in messages:
                self.app.handle(message.body)
                handled += 1
                if handled > at_most:
                    raise AssertionError(f"still busy after {at_most} messages: something sends itself messages for ever")
        return handled

    def pass_time(self, by: timedelta | None = None, **units: float) -> None:
        """Let time pass, and handle every message in its moment."""
        end = self.clock.now() + (by or timedelta(**units))
        self.work()
        while (due := self.queue.next_due()) is not None and due <= end:
            self.clock.advance(max(timedelta(0), due - self.clock.now()))
            self.work()
        self.clock.advance(end - self.clock.now())
        self.work()

    # --- what became of it ---

    def runs(self) -> list[RunView]:
        """All runs in the order in which they started."""
        return list(self.app.reads.runs())

    def audit(self, person_id: str) -> list[AuditLine]:
        """Everything the audit says about a person."""
        return list(self.app.reads.audit(f"{TENANT}|{person_subject(person_id)}"))

    def actions(self, person_id: str) -> list[str]:
        """The action of every audit entry."""
        return [line.record.action for line in self.audit(person_id)]
