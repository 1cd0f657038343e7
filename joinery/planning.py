"""What would happen: the product itself, run on one person's copy in memory, with a desk that only plans and a clock that jumps ahead.

Nothing outside is touched and nothing is stored: the copy is thrown away. So a plan says what the rules and recipes of this release do,
and not what somebody believes they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from joinery.app import App
from joinery.assembly import Ports, assemble
from joinery.domain.events import Fact
from joinery.domain.groups import DirectGroup, GroupTraits, WatchedGroup
from joinery.domain.guard import GuardDecision, Verdict
from joinery.domain.moments import from_text, to_text
from joinery.domain.person import Absence, DirectReport, Person, Sighting
from joinery.domain.policy import Policy, Ring, WorkflowPolicy
from joinery.domain.tickets import FindUser, Order, Result, UserRef
from joinery.engine import codec, lookup
from joinery.engine.breaker import SIZE, SLOTS, Ask, Breaker, HeldBook, evidence
from joinery.engine.dry_run import PLANNED, DryRunServiceDesk
from joinery.engine.envelope import Envelope, EnvelopeKind
from joinery.engine.gate import Gate
from joinery.engine.groups import WATCHED
from joinery.engine.journal import SLEEP, Head, Run, Step, StepState, opened, whole_head
from joinery.engine.lookup import HOLDERS
from joinery.engine.memory import FakeClock, MemoryQueue, MemorySealLog, MemoryStateStore, SeededRandomness
from joinery.engine.overlap import overlap
from joinery.engine.ports import Clock, DeltaPage, Directory, Snapshot, StateStore
from joinery.engine.promotion import PromotionBook
from joinery.engine.recipes import Catalogue
from joinery.engine.retry import EngineTiming
from joinery.engine.standing_orders import SubscriptionUrls
from joinery.engine.sweeps import WATCHING
from joinery.errors import Refused

#: A plan that is not through after so many jumps goes on for ever: what was planned until then is told.
_JUMPS = 60
#: How far ahead it looks at most.
_HORIZON = timedelta(days=400)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStep:
    """One thing that a run would ask of the desk, or of itself."""

    name: str
    #: The class of the order, or what else the step asks for.
    asks: str
    order: Order | None = None
    result: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedWait:
    """A moment until which a run would stand still, and for what."""

    until: datetime
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """What one fact would come to."""

    workflow: str
    fact: Fact
    #: What the guard says about it, ring and breaker together.
    verdict: Verdict
    why: str
    steps: tuple[PlannedStep, ...] = ()
    waits: tuple[PlannedWait, ...] = ()
    #: Open runs that it meets: id -> what becomes of them.
    meets: Mapping[str, str] | None = None
    #: Why it would fail; empty where it would not.
    trouble: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What would come of a person as they are, or would be."""

    #: Why these facts, or why none.
    why: str
    #: Facts that no run would answer, and why.
    recorded: tuple[tuple[Fact, str], ...] = ()
    runs: tuple[PlannedRun, ...] = ()
    #: When the facts would be believed, where they have to last.
    believed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Planner:
    """Plans for one deployment. ``directory`` answers what recipes ask for beside the person: managers, owners, groups."""

    store: StateStore
    directory: Directory
    policy: Policy
    catalogue: Catalogue
    clock: Clock
    tenant: str
    deployment: str
    timing: EngineTiming

    def plan(self, partition: str, sighting: Sighting) -> Plan:
        """What a look that shows this would come to. ``groups`` of a person are display names. Raises StoreUnavailable, or what the directory raises."""
        snapshot = self.store.read(partition)
        stored = whole_head(snapshot)
        head = Head.from_document(stored, partition=partition) if stored else Head()
        clock = FakeClock(self.clock.now())
        app = self._copy(partition, head, sighting, clock)
        waits = self._live_through(app, partition, clock)
        told = [line.record for line in app.reads.audit(partition, after_seq=head.audit_seq)]
        started = [app.reads.run(partition, seq) for seq in range(head.runs + 1, app.dispatcher.open_partition(partition).head.runs + 1)]
        facts = [record for record in told if record.action == "fact"]
        reading = facts or [record for record in told if record.action in ("left alone", "nothing", "waiting")]
        live = [run for run in _open_runs(snapshot, partition) if run.mode == "live"]
        runs = [self._planned(view.run, view.steps, waits.get(view.run.seq, ()), head, live) for view in started if view is not None]
        answered = {codec.to_bytes(codec.tag(run.fact)) for run in runs}
        return Plan(
            why=reading[-1].detail.get("reading") or reading[-1].why if reading else "nothing new",
            recorded=tuple(
                (cast(Fact, codec.untag(record.detail["fact"])), record.why)
                for record in facts
                if codec.to_bytes(record.detail["fact"]) not in answered
            ),
            runs=tuple(runs),
            believed_at=facts[0].at if facts and facts[0].at > self.clock.now() else None,
        )

    # --- the copy ---

    def _copy(self, partition: str, head: Head, sighting: Sighting, clock: FakeClock) -> App:
        """An App in memory that knows this person, and holds all its workflows in shadow."""
        store = MemoryStateStore()
        names = self.policy.watched_groups
        store.replace_shared(
            WATCHED, {"at": to_text(clock.now()), "ids": {name: name.lower() for name in names}, "missing": []}, expected=None
        )
        watching = self.store.read_shared(WATCHING)[1]
        if watching is not None:
            store.replace_shared(WATCHING, watching, expected=None)
        shadow = {workflow.name: WorkflowPolicy(ring=Ring.SHADOW) for workflow in self.catalogue.values()}
        ports = Ports(
            clock=clock,
            randomness=SeededRandomness(1),
            store=store,
            queue=MemoryQueue(clock),
            directory=_Imagined(self.directory, sighting),
            desk=DryRunServiceDesk(_NoDesk()),  # type: ignore[arg-type]  # only what a plan reads is ever asked
            subscriptions=cast(Any, None),
            intake=cast(Any, None),
            seals=MemorySealLog(),
        )
        app = assemble(
            ports,
            policy=replace(self.policy, workflows=shadow),
            catalogue=self.catalogue,
            urls=SubscriptionUrls(notification_url="", lifecycle_url="", client_state="", fingerprint=""),
            tenant=self.tenant,
            deployment=self.deployment,
            timing=self.timing,
        )
        fresh = replace(head, rehearsed=(), told="", held="", due_key="", wake_at=None, seal_mark="")
        copied = app.dispatcher.open_partition(partition)
        if head.known.seen is not None:
            copied.head = fresh
            copied.commit()
        return app

    def _live_through(self, app: App, partition: str, clock: FakeClock) -> dict[int, tuple[PlannedWait, ...]]:
        """Look, and jump from one moment to the next until nothing is open; returns what each run waited for."""
        tenant, _, subject = partition.partition("|")
        end = clock.now() + _HORIZON
        waits: dict[int, list[PlannedWait]] = {}
        kind = EnvelopeKind.LOOK
        for _ in range(_JUMPS):
            app.dispatcher.handle(Envelope(tenant=tenant, subject=subject, kind=kind, cause="plan", at=clock.now(), again=True))
            copied = app.dispatcher.open_partition(partition)
            for run in copied.runs.values():
                if run.due is not None and run.due > clock.now():
                    wait = PlannedWait(until=run.due, what=run.waiting_for)
                    if wait not in waits.setdefault(run.seq, []):
                        waits[run.seq].append(wait)
            moments = [run.due for run in copied.runs.values()] + [copied.head.look_again_at]
            due = min((moment for moment in moments if moment is not None), default=None)
            if due is None or due > end:
                break
            clock.advance(max(timedelta(0), due - clock.now()))
            kind = EnvelopeKind.WAKE
        return {seq: tuple(those) for seq, those in waits.items()}

    # --- what it came to ---

    def _planned(self, run: Run, steps: tuple[Step, ...], waits: tuple[PlannedWait, ...], head: Head, live: list[Run]) -> PlannedRun:
        fact = cast(Fact, codec.untag(run.fact))
        decision = self._decision(run, fact, head)
        return PlannedRun(
            workflow=run.workflow,
            fact=fact,
            verdict=decision.verdict,
            why=decision.why,
            steps=tuple(
                PlannedStep(
                    name=step.name,
                    asks=step.asks,
                    order=codec.untag(step.order) if step.order else None,
                    result=codec.untag(step.result) if isinstance(step.result, dict) and "is" in step.result else step.result,
                )
                for step in steps
                if step.state is StepState.DONE
            ),
            waits=(*waits, *(PlannedWait(until=from_text(step.result), what=step.name) for step in steps if step.asks == SLEEP)),
            meets={one.id: str(overlap(fact, one.workflow)) for one in live},
            trouble=run.reason or (run.waiting_for if run.closed_at is None else ""),
        )

    def _decision(self, run: Run, fact: Fact, head: Head) -> GuardDecision:
        """What ring and breaker say, asked of a copy of the breaker's rows."""
        store = MemoryStateStore()
        for row in (SLOTS, SIZE):
            document = self.store.read_shared(row)[1]
            if document is not None:
                store.replace_shared(row, document, expected=None)
        breaker = Breaker(store=store, clock=self.clock, policy=self.policy.breaker, counts=False)
        promotions = PromotionBook(store)
        gate = Gate(store=store, policy=self.policy, breaker=breaker, held=HeldBook(store), promotions=promotions, clock=self.clock)
        decision = gate.of_ring(run.workflow, run.person, head.known.baseline)
        if decision.verdict is not Verdict.ACT or gate.passes(run.workflow, fact, run.person, head.known.baseline):
            return decision
        ask = Ask(workflow=run.workflow, run_id=run.id, department=(head.known.baseline or run.person).department, how=evidence(fact))
        refusal = breaker.take(ask)
        return GuardDecision(verdict=Verdict.HOLD, why=refusal.why) if refusal else decision


def _open_runs(snapshot: Snapshot, partition: str) -> list[Run]:
    rows = [row for row in snapshot.rows if row.name.startswith("run.") and "." not in row.name.removeprefix("run.")]
    return [opened(row, Run, partition=partition, tagged="fact") for row in rows]


class _Imagined:
    """A directory in which one person is as imagined; everything else is asked of another one."""

    def __init__(self, inner: Directory, sighting: Sighting) -> None:
        self._inner = inner
        self._sighting = sighting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def look(self, person_id: str, groups: Iterable[str]) -> Sighting:
        """The person as imagined; their groups by what stands for their ids in the copy."""
        if person_id != self._sighting.id:
            return self._inner.look(person_id, groups)
        if isinstance(self._sighting, Absence):
            return self._sighting
        return self._sighting.evolve(groups=frozenset(name.lower() for name in self._sighting.groups))


class _NoDesk:
    """Answers the few reads of a plan: whoever is looked for is there."""

    search_lag = timedelta(0)

    def perform(self, order: Order, key: str, *, within: timedelta) -> Result:
        """The user that an earlier run made or found, or one that would be found."""
        if isinstance(order, FindUser):
            return UserRef(id=order.known_id or PLANNED)
        raise Refused("a plan asks the desk for nothing")

    def find_similar(self, order: Order) -> Result | None:
        """Whether a human's ticket would be adopted is not known without the desk."""
        return None


class StoredDirectory:
    """The directory as far as it is stored: everybody as they were last seen. For plans, which ask nobody else."""

    def __init__(self, store: StateStore, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def look(self, person_id: str, groups: Iterable[str]) -> Sighting:
        """As last seen, with display names in place of the groups' ids; an absence for whom we never saw."""
        head = self._head(f"{self._tenant}|person:{person_id}")
        seen = head.known.seen if head else None
        if seen is None:
            return Absence(id=person_id, soft_deleted=False)
        return seen.evolve(groups=frozenset(name.lower() for name in seen.groups))

    def by_address(self, address: str) -> Person | None:
        """The one person last seen with this address."""
        wanted = address.strip().casefold()
        heads = (self._head(partition) for partition in lookup.named(self._store, address))
        found = [head.known.seen for head in heads if head and head.known.seen and wanted in head.known.seen.addresses]
        return found[0] if len(found) == 1 else None

    def people_in(self, group_id: str) -> frozenset[str]:
        """Who was last seen in it."""
        rows = self._store.list_index(HOLDERS, prefix=f"{group_id}|")
        return frozenset(row.name.partition("|")[2].partition(":")[2] for row in rows)

    def reports_of(self, person_id: str) -> tuple[DirectReport, ...]:
        """Not stored by manager: a plan names nobody."""
        return ()

    def group_traits(self, group_id: str) -> GroupTraits:
        """Not stored: taken for a group that can be edited."""
        return GroupTraits()

    def groups_of(self, person_id: str) -> tuple[DirectGroup, ...]:
        """Not stored: a plan names none."""
        return ()

    def sessions_valid_from(self, person_id: str) -> datetime | None:
        """Not stored."""
        return None

    def revoke_sessions(self, person_id: str) -> None:
        """Planned only."""

    def resolve_groups(self, names: Iterable[str]) -> tuple[WatchedGroup, ...]:
        """Every name is a group's."""
        return tuple(WatchedGroup(name=name, id=name.lower()) for name in names)

    def groups_within(self, groups: Iterable[str]) -> dict[str, frozenset[str]]:
        """Not stored: who is in a group is known of everybody."""
        return {}

    def people_among(self, ids: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Everybody."""
        return frozenset(ids), frozenset()

    def people_delta(self, link: str | None) -> DeltaPage:
        """A plan sweeps nothing."""
        return DeltaPage()

    def groups_delta(self, groups: Iterable[str], link: str | None) -> DeltaPage:
        """A plan sweeps nothing."""
        return DeltaPage()

    def remove_member(self, group_id: str, person_id: str) -> None:
        """Planned only."""

    def _head(self, partition: str) -> Head | None:
        stored = whole_head(self._store.read(partition))
        return Head.from_document(stored, partition=partition) if stored else None
