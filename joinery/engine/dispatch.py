"""Handles one envelope about a person: look, understand, decide, commit, and take the open runs as far as they go."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from joinery.domain.changes import Known, Reading, Stage, interpret
from joinery.domain.events import Fact
from joinery.domain.guard import Verdict, guard
from joinery.domain.identity import IdentityKind, classify
from joinery.domain.person import Absence, Person, Sighting
from joinery.domain.policy import Policy
from joinery.engine import codec
from joinery.engine.breaker import ACTIVE, DECIDED, Breaker, HeldBook, HeldChange, HeldDecision
from joinery.engine.checks import LateChecks
from joinery.engine.context import renew
from joinery.engine.envelope import Envelope, EnvelopeKind
from joinery.engine.groups import HOLDERS, GroupBook
from joinery.engine.journal import Run, RunStatus, run_id
from joinery.engine.overlap import meet
from joinery.engine.partition import Partition
from joinery.engine.pauses import PauseBoard
from joinery.engine.ports import Clock, Directory, Document, StateStore
from joinery.engine.recipes import Catalogue
from joinery.engine.retry import EngineTiming
from joinery.engine.runner import Runner
from joinery.errors import QueueUnavailable, Refused, StoreUnavailable, TryLater

#: A wake that comes this much too early is sent once more, each time for a later moment, and so often at most: then it is the tick's.
_EARLY, _EARLY_TIMES = timedelta(seconds=5), 4

#: How the reason begins for which a run is held, and how often it asks again by itself.
_HELD, _HELD_FOR = "held: ", timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatcher:
    """Everything that handling a person's envelope takes."""

    open_partition: Callable[[str], Partition]
    store: StateStore
    directory: Directory
    groups: GroupBook
    policy: Policy
    catalogue: Catalogue
    runner: Runner
    checks: LateChecks
    pauses: PauseBoard
    breaker: Breaker
    held: HeldBook
    clock: Clock
    timing: EngineTiming
    deployment: str

    def handle(self, envelope: Envelope, *, enqueued_at: datetime | None = None) -> None:
        """Handle a ``look`` or a ``wake``, ``enqueued_at`` by the bus's clock.

        Raises TryLater or Refused from the directory, LostRace, StoreUnavailable.
        """
        stop_at = self.clock.monotonic() + self.timing.work_budget.total_seconds()
        partition = self.open_partition(envelope.session_id)
        if partition.is_new and envelope.kind is EnvelopeKind.WAKE:
            return
        again = partition.head.look_again_at
        trouble: TryLater | Refused | None = None
        if envelope.kind is EnvelopeKind.LOOK or (again is not None and again <= self.clock.now()):
            try:
                self._look(partition, envelope, enqueued_at)
            except StoreUnavailable:
                raise
            except (TryLater, Refused) as error:
                # The directory does not answer. What was decided before goes on all the same; then the message goes back.
                trouble = error
        self._advance(partition, stop_at)
        due = partition.next_due()
        early = due - self.clock.now() if due is not None else timedelta(0)
        if envelope.kind is EnvelopeKind.WAKE and due is not None and timedelta(0) < early < _EARLY and envelope.attempt < _EARLY_TIMES:
            # The bus's clock runs ahead of ours: this wake was the one for that moment. The next one allows for it.
            partition.schedule_wake(due + early * 4**envelope.attempt, attempt=envelope.attempt + 1)
        partition.settle()
        if trouble is not None:
            raise trouble

    # --- look and decide ---

    def _look(self, partition: Partition, envelope: Envelope, enqueued_at: datetime | None) -> None:
        ids = self.groups.ids()
        # Evidence is as old as the question: what is seen may have been so then, and not any more when the answer comes.
        asked_at = self.clock.now()
        sighting = self.directory.look(envelope.subject_id, ids.values())
        if isinstance(sighting, Person):
            names = {identity: name for name, identity in ids.items()}
            sighting = sighting.evolve(
                groups=frozenset(names[identity.lower()] for identity in sighting.groups if identity.lower() in names)
            )
            sighting = sighting.remembering(partition.head.known.seen)
        head = partition.head
        if isinstance(sighting, Absence) and head.known.seen is None:
            # Nobody we ever saw: a forged or very late message costs two reads and leaves nothing behind.
            if envelope.kind is EnvelopeKind.LOOK and envelope.attempt == 0:
                raise TryLater("nobody we ever saw; a replica that lags may not know them yet", after=self.policy.timing.second_look)
            return
        before = partition.head.to_document()
        explained = self._explains(partition, sighting)
        self._decide(partition, sighting, envelope, asked_at)
        self._remember_groups(partition, head.known.seen, sighting, ids)
        if partition.is_new or partition.head.to_document() != before:
            partition.commit()
        if envelope.kind is EnvelopeKind.LOOK and not envelope.again and not explained and partition.head.look_again_at is None:
            self._look_once_more(partition, enqueued_at)

    def _look_once_more(self, partition: Partition, enqueued_at: datetime | None) -> None:
        """By message, not by the head: most hints that show nothing new are repeats, and those shall cost no write.

        The message waits on the bus's clock. Where the bus does not take it, or not for certain, the head remembers: the hint put back
        would bring one more message each time.
        """
        now = self.clock.now()
        try:
            partition.send_look(max(now, enqueued_at or now) + self._second_look)
        except QueueUnavailable:
            partition.head = replace(partition.head, look_again_at=now + self._second_look)
            partition.commit()

    def _explains(self, partition: Partition, sighting: Sighting) -> bool:
        """Whether a look shows what a hint was about: something new, and not what may be older than what a look a moment ago showed.

        Otherwise whoever told us may be ahead of the replica that answered, and there is one more look when none lags behind any longer.
        """
        now, changed_at = self.clock.now(), partition.head.changed_at
        news = isinstance(sighting, Person) and bool(_differences(partition.head.known.seen, sighting))
        if news:
            partition.head = replace(partition.head, changed_at=now)
        return news and (changed_at is None or now - changed_at >= self.policy.timing.flap_window)

    def _decide(self, partition: Partition, sighting: Sighting, envelope: Envelope, now: datetime) -> None:
        head = partition.head
        known = head.known
        person = sighting if isinstance(sighting, Person) else known.seen
        if person is None:
            raise AssertionError("an absence without a person was filtered before")
        identity = classify(person, self.policy.identity) if isinstance(sighting, Person) or head.identity is None else head.identity
        known = replace(known, seen=person)
        if not identity.may_be_acted_upon:
            # This look may be the stale one: what was in doubt before is looked at once more.
            again = now + self._second_look if head.known.doubts else None
            partition.head = replace(head, known=replace(known, doubts={}), identity=identity, look_again_at=again)
            self._tell(partition, envelope, "left alone", f"{identity.kind}: {identity.proof}", sighting, head.known)
            return
        self._release(partition)
        reading = interpret(known, sighting, self.policy, now)
        again = reading.look_again_at
        if again is None and head.look_again_at is not None and head.look_again_at > now:
            again = head.look_again_at
        partition.head = replace(head, known=known, identity=identity, look_again_at=again)
        self._forget_rehearsals(partition, reading)
        told = _digest({"facts": [codec.tag(fact) for fact in reading.facts]})
        untold = told != head.told
        verdicts = [self._act_on(partition, fact, reading, person, envelope, news=untold) for fact in reading.facts]
        # Once something acted, the baseline must move, or the next look would start it again.
        undecided = bool({Verdict.SHADOW, Verdict.HOLD} & set(verdicts)) and Verdict.ACT not in verdicts
        self._end_hold(partition, verdicts, envelope)
        self._settle_baseline(partition, reading, now, undecided=undecided)
        self._count_active(partition)
        if undecided:
            # The same facts will be read from every look until something changes; they are recorded once.
            partition.head = replace(partition.head, told=told)
        if not reading.facts:
            self._tell(partition, envelope, "waiting" if reading.look_again_at else "nothing", reading.why, sighting, head.known)

    @property
    def _second_look(self) -> timedelta:
        return max(self.policy.timing.second_look, timedelta(seconds=1))

    def _settle_baseline(self, partition: Partition, reading: Reading, now: datetime, *, undecided: bool) -> None:
        known = partition.head.known
        if undecided:
            # Neither a rehearsal nor a hold is the decision: the baseline stays, so that the fact can still be acted on later.
            # So do its doubts: the evidence was ripe, and stays so while nothing changes.
            # That they are here is not a decision but what was seen; without it their leave would not be one.
            arrives = reading.episode.stage is Stage.ACTIVE and known.episode.stage in (Stage.NONE, Stage.PREHIRE)
            stage = Stage.ACTIVE if arrives else known.episode.stage
            here = replace(known, episode=replace(known.episode, stage=stage), doubts={**known.doubts, **reading.doubts})
            partition.head = replace(partition.head, known=here)
            return
        moved = reading.baseline is not None and reading.baseline != known.baseline
        partition.head = replace(
            partition.head,
            known=replace(
                known,
                baseline=reading.baseline if reading.baseline is not None else known.baseline,
                decided_at=now if moved or reading.facts else known.decided_at,
                episode=reading.episode,
                doubts=reading.doubts,
                group_decisions=reading.group_decisions,
            ),
        )

    def _forget_rehearsals(self, partition: Partition, reading: Reading) -> None:
        """A fact that no longer stands may be rehearsed again when it comes back."""
        standing = {self.catalogue[type(fact)].name for fact in reading.facts if type(fact) in self.catalogue}
        kept = tuple(identity for identity in partition.head.rehearsed if identity.partition("-")[0] in standing)
        partition.head = replace(partition.head, rehearsed=kept)

    def _act_on(self, partition: Partition, fact: Fact, reading: Reading, person: Person, envelope: Envelope, *, news: bool) -> Verdict:
        """Start what the catalogue says, as far as the guard allows; returns what the guard allowed."""
        workflow = self.catalogue.get(type(fact))
        decision = guard(workflow.name if workflow else None, self.policy)
        if workflow is None or decision.verdict is Verdict.RECORD:
            if news:
                partition.audit("fact", decision.why, cause=envelope.cause, fact=codec.tag(fact), reading=reading.why)
            # Nothing starts, but what is open may have been about somebody who is no more, or lacked what is known now.
            meet(partition, fact, person, by=fact.kind)
            return Verdict.RECORD
        shadow = decision.verdict is Verdict.SHADOW
        mode = "shadow" if shadow else "live"
        episode = reading.episode.number
        counter = f"{episode}.{workflow.name}.{mode}"
        ordinal = partition.head.ordinals.get(counter, 0) + 1
        if shadow and any(identity.startswith(f"{workflow.name}-{episode}-") for identity in partition.head.rehearsed):
            return Verdict.SHADOW
        identity = run_id(
            deployment=self.deployment, partition=partition.name, episode=episode, workflow=workflow.name, ordinal=ordinal, mode=mode
        )
        supersedes: tuple[int, ...] = ()
        if not shadow:
            held = self._hold_excess(partition, workflow.name, identity, reading, envelope)
            if held is not None:
                return held
            meeting = meet(partition, fact, person, by=identity)
            supersedes = meeting.supersedes
            if meeting.fact is None:
                partition.audit("fact", f"an open run takes it in: {reading.why}", cause=envelope.cause, fact=codec.tag(fact))
                return Verdict.RECORD
            fact = meeting.fact
        run = Run(
            seq=partition.head.runs + 1,
            id=identity,
            workflow=workflow.name,
            version=workflow.version,
            fact=codec.tag(fact),
            person=person,
            episode=episode,
            mode=mode,
            started_at=self.clock.now(),
            supersedes=supersedes,
        )
        partition.head = replace(
            partition.head,
            runs=run.seq,
            ordinals={**partition.head.ordinals, counter: ordinal},
            rehearsed=(*partition.head.rehearsed, identity) if shadow else partition.head.rehearsed,
        )
        partition.audit("fact", reading.why, cause=envelope.cause, fact=codec.tag(fact), identity=codec.to_document(_proof(partition)))
        partition.audit("run started", decision.why, run=identity, personal=_card(person), workflow=workflow.name, version=workflow.version)
        partition.start_run(run)
        return decision.verdict

    # --- the breaker ---

    def _hold_excess(self, partition: Partition, workflow: str, run_id: str, reading: Reading, envelope: Envelope) -> Verdict | None:
        """Take a slot for a run that needs one; returns what the fact comes to where there is none, or where a person said so."""
        if workflow not in self.policy.breaker.workflows:
            return None
        change = self.held.get(partition.name) if partition.head.held else None
        decision = change.decision if change else None
        if decision is HeldDecision.DISCARD:
            partition.audit(
                "hold discarded", f"somebody decided that nothing starts: {reading.why}", cause=envelope.cause, workflow=workflow
            )
            return Verdict.RECORD
        if change is not None and decision is None:
            # However many slots are free by now: what was held once is for a person to decide.
            return Verdict.HOLD
        full = self.breaker.take(workflow, run_id, beyond=decision is HeldDecision.RELEASE)
        if not full:
            return None
        self.held.put(HeldChange(partition=partition.name, workflow=workflow, at=self.clock.now(), why=f"{reading.why}; {full}"))
        partition.head = replace(partition.head, held=workflow)
        partition.audit("held", f"{reading.why}; {full}", cause=envelope.cause, workflow=workflow)
        cause = f"the breaker holds every further {workflow} run; `joinery held list` shows whom, and what can be done"
        partition.alert(f"{workflow} is held: {full}", cause=cause)
        return Verdict.HOLD

    def _end_hold(self, partition: Partition, verdicts: list[Verdict], envelope: Envelope) -> None:
        """What was held was decided, or is no longer so."""
        if not partition.head.held and envelope.cause == DECIDED:
            # A row whose commit never came: somebody decided about it, and nothing is held.
            self.held.drop(partition.name)
        if partition.head.held and Verdict.HOLD not in verdicts:
            if not verdicts:
                partition.audit("hold ended", "it is no longer so; nothing was done", workflow=partition.head.held)
            partition.head = replace(partition.head, held="")
            partition.afterwards(lambda: self.held.drop(partition.name))

    def _count_active(self, partition: Partition) -> None:
        """Keep the index of active people, of which the breaker's shares are taken: a row before the commit, or gone after it."""
        active = partition.head.episode.stage is Stage.ACTIVE
        if active != partition.head.active:
            partition.head = replace(partition.head, active=active)
            if active:
                self.store.put_index(ACTIVE, partition.name, {})
            else:
                partition.afterwards(lambda: self.store.delete_index(ACTIVE, partition.name))

    def _tell(self, partition: Partition, envelope: Envelope, action: str, why: str, sighting: Sighting, before: Known) -> None:
        """Put a look that started nothing into the audit, once for each new situation: not again for every repeat."""
        absent = isinstance(sighting, Absence)
        changed = sorted(_differences(before.seen, sighting)) if isinstance(sighting, Person) else []
        enabled = isinstance(sighting, Person) and sighting.account_enabled
        told = _digest({"action": action, "why": why, "absent": absent, "enabled": enabled})
        if told == partition.head.told and not changed:
            return
        partition.head = replace(partition.head, told=told)
        partition.audit(action, why, cause=envelope.cause, changed=changed, absent=absent)

    def _remember_groups(self, partition: Partition, before: Person | None, sighting: Sighting, ids: dict[str, str]) -> None:
        """Keep the index of who is in which watched group: gained rows before the commit, lost ones after it."""
        if isinstance(sighting, Absence):
            return
        subject = partition.name.partition("|")[2]
        for name in sighting.groups - (before.groups if before else frozenset()):
            self.store.put_index(HOLDERS, f"{ids[name]}|{subject}", {})
        for name in (before.groups if before else frozenset()) - sighting.groups:
            if name in ids:
                key = f"{ids[name]}|{subject}"
                partition.afterwards(lambda key=key: self.store.delete_index(HOLDERS, key))  # type: ignore[misc]  # bound per turn

    # --- runs and checks ---

    def _advance(self, partition: Partition, stop_at: float) -> None:
        now = self.clock.now
        identity = partition.head.identity
        held = identity is not None and not identity.may_be_acted_upon
        for run in _oldest_first(partition.runs.values()):
            current = partition.runs.get(run.seq)
            if current is None or (current.due is not None and current.due > now()):
                continue
            if held and current.mode == "live" and current.status is RunStatus.OPEN:
                self._hold(partition, current, identity)
            else:
                self.runner.advance(partition, current, pauses=self.pauses.read, stop_at=stop_at)
        if any(check.due <= now() for check in partition.checks.values()):
            self.checks.carry_out(partition, self.pauses.read())

    def _hold(self, partition: Partition, run: Run, identity: IdentityKind | None) -> None:
        """Nothing touches a protected or unclassified identity, not even a run that began before it was one."""
        why = f"{_HELD}{identity.kind}: {identity.proof}" if identity else _HELD
        if run.waiting_for != why:
            partition.audit("run held", why.removeprefix(_HELD), run=run.id)
        partition.save_run(renew(run, due=self.clock.now() + _HELD_FOR, waiting_for=why))
        partition.commit()

    @staticmethod
    def _release(partition: Partition) -> None:
        """The identity may be acted upon again: what was held goes on at once."""
        for run in list(partition.runs.values()):
            if run.waiting_for.startswith(_HELD):
                partition.save_run(renew(run, due=None, waiting_for=""))


def _digest(situation: Document) -> str:
    return hashlib.sha256(codec.to_bytes(situation)).hexdigest()[:16]


def _oldest_first(runs: Iterable[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: run.seq)


def _differences(before: Person | None, now: Person) -> set[str]:
    """Names of the fields that differ from the last read; all that is new at first sight is one word."""
    if before is None:
        return {"first sight"}
    old, new = codec.to_document(before), codec.to_document(now)
    return {name for name in new if old.get(name) != new[name]}


def _proof(partition: Partition) -> IdentityKind:
    identity = partition.head.identity
    if identity is None:
        raise AssertionError("the identity is decided before any fact")
    return identity


def _card(person: Person) -> Document:
    """What a reader of the audit needs to recognise a person; it can be erased."""
    return {
        "name": person.name,
        "address": person.address,
        "department": person.department,
        "manager": person.manager.display_name if person.manager else "",
    }
