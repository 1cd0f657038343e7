"""Handles one envelope about a person: look, understand, decide, commit, and take the open runs as far as they go."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from joinery.domain.changes import Known, Reading, Stage, interpret
from joinery.domain.edits import under
from joinery.domain.events import Fact, Returned, RolesChanged
from joinery.domain.guard import GuardDecision, Verdict
from joinery.domain.identity import IdentityKind, classify
from joinery.domain.person import Absence, Person, Sighting
from joinery.domain.policy import Policy
from joinery.domain.roles import apart, with_endings, with_what_stands_no_more
from joinery.domain.undecided import decided_on, kept_open, left_open
from joinery.engine import codec, granting, lookup
from joinery.engine.breaker import DECIDED
from joinery.engine.checks import LateChecks
from joinery.engine.context import renew
from joinery.engine.coverage import note_found
from joinery.engine.envelope import Envelope, EnvelopeKind
from joinery.engine.gate import Gate, rehearsed_workflows, was_rehearsed
from joinery.engine.groups import GroupBook, named
from joinery.engine.journal import HELD, HELD_FOR, Run, RunStatus, run_id
from joinery.engine.overlap import meet
from joinery.engine.partition import Partition
from joinery.engine.pauses import PauseBoard
from joinery.engine.policy_book import APPLIED, PolicyBook
from joinery.engine.ports import Clock, Directory, Document, StateStore
from joinery.engine.questions import Questions
from joinery.engine.recipes import Catalogue, Workflow
from joinery.engine.reopening import reopen
from joinery.engine.retry import EngineTiming
from joinery.engine.runner import Runner
from joinery.engine.sweeps import SWEEP, watched_since
from joinery.errors import Refused, StoreUnavailable, TryLater

#: A wake that comes this much too early is sent once more, each time for a later moment, and so often at most: then it is the tick's.
_EARLY, _EARLY_TIMES = timedelta(seconds=5), 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatcher:
    """Everything that handling a person's envelope takes."""

    open_partition: Callable[[str], Partition]
    store: StateStore
    directory: Directory
    groups: GroupBook
    policies: PolicyBook
    catalogue: Catalogue
    runner: Runner
    checks: LateChecks
    pauses: PauseBoard
    gate: Gate
    questions: Questions
    clock: Clock
    timing: EngineTiming
    deployment: str

    @property
    def policy(self) -> Policy:
        """The rules in force."""
        return self.policies.now()

    def handle(self, envelope: Envelope, *, enqueued_at: datetime | None = None) -> None:
        """Handle a ``look``, a ``wake`` or an ``answer``, ``enqueued_at`` by the bus's clock.

        Raises TryLater or Refused from directory and desk, LostRace, StoreUnavailable.
        """
        stop_at = self.clock.monotonic() + self.timing.work_budget.total_seconds()
        if envelope.cause == APPLIED:
            self.policies.refresh()
        partition = self.open_partition(envelope.session_id)
        if partition.is_new and envelope.kind is EnvelopeKind.WAKE:
            return
        if envelope.kind is EnvelopeKind.ANSWER and not self.questions.woken_by(partition, envelope):
            return
        if envelope.cause == DECIDED:
            reopen(partition, self.store)
        trouble: TryLater | Refused | None = None
        if envelope.kind is EnvelopeKind.LOOK or granting.is_due(partition.head, self.clock.now()):
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
        sighting = named(self.directory.look(envelope.subject_id, ids.values()), ids)
        if isinstance(sighting, Person):
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
        if isinstance(sighting, Person):
            lookup.remember(partition, self.store, head.known.seen, sighting, ids)
        self.questions.tell(partition, head, sighting)
        left_now = partition.head.episode.stage is Stage.LEFT and head.episode.stage is not Stage.LEFT
        news = left_now or (isinstance(sighting, Person) and bool(_differences(head.known.seen, sighting)))
        # Whoever was there before we watched is news to us, and nobody could have told.
        if news and envelope.cause.startswith(SWEEP) and (head.known.seen is not None or partition.head.known.newcomer):
            note_found(self.store, partition.name, asked_at)
        if partition.is_new or partition.head.to_document() != before:
            partition.commit()
        # Who was disabled may be enabled again: a replica that lags behind both would show the leave last, and nobody would tell us again.
        doubted = left_now or not explained
        if envelope.kind is EnvelopeKind.LOOK and not envelope.again and doubted and partition.head.look_again_at is None:
            partition.look_once_more(self._second_look, enqueued_at=enqueued_at)

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
        known = replace(known, seen=person, newcomer=known.newcomer or (known.seen is None and self._is_newcomer(person)))
        if not identity.may_be_acted_upon:
            # This look may be the stale one: what was in doubt before is looked at once more.
            again = now + self._second_look if head.known.doubts else None
            left_alone = replace(head, known=replace(known, doubts={}), identity=identity, look_again_at=again)
            partition.head = granting.with_grants(left_alone, head.grants, now)
            self._tell(partition, envelope, "left alone", f"{identity.kind}: {identity.proof}", sighting, head.known)
            return
        self._release(partition)
        policy = self.policy
        # A group whose rule waits to be applied has no say yet, and must not reach the baseline as if it had been decided on.
        shown = under(sighting, policy) if isinstance(sighting, Person) else sighting
        reading = with_endings(with_what_stands_no_more(interpret(known, shown, policy, now), head.grants, policy), head.grants, now)
        again = reading.look_again_at
        if again is None and head.look_again_at is not None and head.look_again_at > now:
            again = head.look_again_at
        partition.head = replace(head, known=known, identity=identity, look_again_at=again)
        self._forget_rehearsals(partition, reading)
        told = _digest({"facts": [codec.tag(fact) for fact in reading.facts]})
        came = [pair for fact in reading.facts for pair in self._act_on(partition, fact, reading, person, envelope, news=told != head.told)]
        verdicts = [verdict for _, verdict in came]
        # Neither a rehearsal nor a hold is the decision. Once something acted or was dropped, or somebody is back, the baseline must move, or
        # the next look would tell it again; but not for those that are still open.
        still_open = [fact for fact, verdict in came if verdict in (Verdict.SHADOW, Verdict.HOLD)]
        is_back = any(isinstance(fact, Returned) for fact in reading.facts)
        undecided = bool(still_open) and not is_back and not {Verdict.ACT, Verdict.DROP} & set(verdicts)
        if still_open and not undecided:
            reading = kept_open(reading, known, still_open, policy)
        self.gate.end_hold(partition, verdicts, envelope, in_doubt=reading.in_doubt)
        # After the gate: the head knows by now what was held and rehearsed.
        here = partition.head.known
        partition.head = replace(partition.head, known=left_open(here, reading) if undecided else decided_on(here, reading, now))
        decided = [] if undecided else [(fact, verdict) for fact, verdict in came if fact not in still_open]
        partition.head = granting.after_decision(partition.head, decided, policy, now)
        self.gate.count_active(partition)
        if undecided:
            # The same facts will be read from every look until something changes; they are recorded once.
            partition.head = replace(partition.head, told=told)
        if not reading.facts:
            self._tell(partition, envelope, "waiting" if reading.look_again_at else "nothing", reading.why, sighting, head.known)

    def _is_newcomer(self, person: Person) -> bool:
        if person.created_at is None:
            return False
        since = watched_since(self.store)
        # Directories date an account to the second: one that is made right after the first sweep bears the moment before it.
        return since is not None and person.created_at >= since.replace(microsecond=0)

    @property
    def _second_look(self) -> timedelta:
        return max(self.policy.timing.second_look, timedelta(seconds=1))

    def _forget_rehearsals(self, partition: Partition, reading: Reading) -> None:
        """A fact that no longer stands may be rehearsed again when it comes back."""
        if reading.in_doubt:
            return
        for workflow in rehearsed_workflows(partition) - self._workflows_of(reading):
            self.gate.end_rehearsal(partition, workflow)

    def _workflows_of(self, reading: Reading) -> set[str]:
        return {self.catalogue[type(fact)].name for fact in reading.facts if type(fact) in self.catalogue}

    def _act_on(
        self, partition: Partition, fact: Fact, reading: Reading, person: Person, envelope: Envelope, *, news: bool
    ) -> list[tuple[Fact, Verdict]]:
        """Start what the catalogue says, as far as the guard allows; returns what it allowed of each part of the fact."""
        workflow = self.catalogue.get(type(fact))
        decision = self.gate.decide(partition, workflow.name if workflow else None, person, reading.episode.number)
        if workflow is None or decision.verdict in (Verdict.RECORD, Verdict.DROP):
            rehearsed = partition.head.rehearsed
            if workflow is not None:
                self.gate.end_rehearsal(partition, workflow.name)
            if news or partition.head.rehearsed != rehearsed:
                partition.audit("fact", decision.why, cause=envelope.cause, fact=codec.tag(fact), reading=reading.why)
            # Nothing starts, but what is open may have been about somebody who is no more, or lacked what is known now.
            meet(partition, fact, person, by=fact.kind, starts=False)
            return [(fact, decision.verdict)]
        parts = apart(fact, self.policy) if isinstance(fact, RolesChanged) and decision.verdict is Verdict.ACT else (fact,)
        return [(part, self._begin(partition, workflow, part, decision, reading, person, envelope)) for part in parts]

    def _begin(
        self,
        partition: Partition,
        workflow: Workflow,
        fact: Fact,
        decision: GuardDecision,
        reading: Reading,
        person: Person,
        envelope: Envelope,
    ) -> Verdict:
        """Start what the fact comes to, unless the breaker holds it or an open run takes it in."""
        shadow = decision.verdict is Verdict.SHADOW
        mode = "shadow" if shadow else "live"
        episode = reading.episode.number
        if shadow and was_rehearsed(partition, workflow.name, episode):
            return Verdict.SHADOW
        parts: tuple[Fact, ...] = (fact,)
        supersedes: tuple[int, ...] = ()
        before = partition.head.known.baseline
        if not shadow:
            identity = self._next_id(partition, workflow, episode, mode)
            run_of, standing = (workflow.name, identity), self._workflows_of(reading)
            held = self.gate.hold_excess(partition, fact, run_of, person, reading.why, envelope, standing=standing)
            if held is not None:
                if held is Verdict.DROP:
                    meet(partition, fact, person, by=fact.kind, starts=False)
                return held
            self.gate.end_rehearsal(partition, workflow.name)
            meeting = meet(partition, fact, person, by=identity)
            supersedes, before = meeting.supersedes, meeting.before or before
            if meeting.fact is None:
                partition.audit("fact", f"an open run takes it in: {reading.why}", cause=envelope.cause, fact=codec.tag(fact))
                return Verdict.RECORD
            # What it has taken over from open runs may be more than one may wait for.
            parts = apart(meeting.fact, self.policy) if isinstance(meeting.fact, RolesChanged) else (meeting.fact,)
        for part in parts:
            run = Run(
                seq=partition.head.runs + 1,
                id=self._next_id(partition, workflow, episode, mode),
                workflow=workflow.name,
                version=workflow.version,
                fact=codec.tag(part),
                person=person,
                before=before,
                episode=episode,
                mode=mode,
                started_at=self.clock.now(),
                supersedes=supersedes,
            )
            self._start(partition, run, decision, reading, envelope)
        return decision.verdict

    def _next_id(self, partition: Partition, workflow: Workflow, episode: int, mode: str) -> str:
        ordinal = partition.head.ordinals.get(f"{episode}.{workflow.name}.{mode}", 0) + 1
        return run_id(
            deployment=self.deployment, partition=partition.name, episode=episode, workflow=workflow.name, ordinal=ordinal, mode=mode
        )

    @staticmethod
    def _start(partition: Partition, run: Run, decision: GuardDecision, reading: Reading, envelope: Envelope) -> None:
        counter = f"{run.episode}.{run.workflow}.{run.mode}"
        head = partition.head
        partition.head = replace(
            head,
            runs=run.seq,
            ordinals={**head.ordinals, counter: head.ordinals.get(counter, 0) + 1},
            rehearsed=(*head.rehearsed, run.id) if run.mode == "shadow" else head.rehearsed,
        )
        partition.audit("fact", reading.why, cause=envelope.cause, fact=run.fact, identity=codec.to_document(_proof(partition)))
        partition.audit("run started", decision.why, run=run.id, personal=_card(run.person), workflow=run.workflow, version=run.version)
        partition.start_run(run)

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

    # --- runs and checks ---

    def _advance(self, partition: Partition, stop_at: float) -> None:
        now = self.clock.now
        identity = partition.head.identity
        held = identity is not None and not identity.may_be_acted_upon
        for run in sorted(partition.runs.values(), key=lambda one: one.seq):
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
        why = f"{HELD}{identity.kind}: {identity.proof}" if identity else HELD
        if run.waiting_for != why:
            partition.audit("run held", why.removeprefix(HELD), run=run.id)
        partition.save_run(renew(run, due=self.clock.now() + HELD_FOR, waiting_for=why))
        partition.commit()

    @staticmethod
    def _release(partition: Partition) -> None:
        """The identity may be acted upon again: what was held goes on at once."""
        for run in list(partition.runs.values()):
            if run.waiting_for.startswith(HELD):
                partition.save_run(renew(run, due=None, waiting_for=""))


def _digest(situation: Document) -> str:
    return hashlib.sha256(codec.to_bytes(situation)).hexdigest()[:16]


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
