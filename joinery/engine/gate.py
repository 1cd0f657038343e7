"""The gate between a fact and its run: how far the workflow is trusted, what a person decided, and the breaker."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from joinery.domain.changes import Stage
from joinery.domain.events import Completed, Fact, Joined, Returned
from joinery.domain.guard import GuardDecision, Verdict, guard
from joinery.domain.person import Person
from joinery.domain.policy import Policy
from joinery.engine.breaker import ACTIVE, DECIDED, Ask, Breaker, HeldBook, HeldChange, HeldDecision, department_mark, evidence
from joinery.engine.envelope import Envelope
from joinery.engine.partition import Partition
from joinery.engine.policy_book import APPLIED
from joinery.engine.ports import Clock, StateStore
from joinery.engine.promotion import Promotion, PromotionBook

#: What begins something new strikes nobody, however many they are.
_STRIKE_NOBODY = (Joined, Completed, Returned)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """Decides, for each fact, whether a run acts, is rehearsed, is held, or does not begin."""

    store: StateStore
    policy: Policy
    breaker: Breaker
    held: HeldBook
    promotions: PromotionBook
    clock: Clock

    def decide(self, partition: Partition, workflow: str | None, person: Person, episode: int) -> GuardDecision:
        """What the ring allows, and what a person decided about a fact that was rehearsed. Raises StoreUnavailable."""
        decision = self.of_ring(workflow, person, partition.head.known.baseline)
        if workflow is None or decision.verdict is Verdict.RECORD or not was_rehearsed(partition, workflow, episode):
            return decision
        match self.promotions.of(partition.name).get(workflow):
            case Promotion.RUN:
                return GuardDecision(verdict=Verdict.ACT, why="it was rehearsed, and somebody decided that it runs")
            case Promotion.DROP:
                return GuardDecision(verdict=Verdict.DROP, why="it was rehearsed, and somebody decided that nothing starts")
            case _:
                # Whatever the ring is by now: what shadow saw is listed, and a person says what of it is to run.
                return GuardDecision(verdict=Verdict.SHADOW, why="it was rehearsed, and nobody has decided about it")

    def of_ring(self, workflow: str | None, person: Person, before: Person | None) -> GuardDecision:
        """What the ring alone says; ``before`` is the person as the last decision had left them."""
        return guard(workflow, self.policy, person, *((before,) if before else ()))

    def end_rehearsal(self, partition: Partition, workflow: str) -> None:
        """What was rehearsed is decided, or stands no more."""
        kept = tuple(identity for identity in partition.head.rehearsed if not identity.startswith(f"{workflow}-"))
        if kept != partition.head.rehearsed:
            partition.head = replace(partition.head, rehearsed=kept)
            partition.afterwards(lambda: self.promotions.done(partition.name, workflow))

    def hold_excess(
        self,
        partition: Partition,
        fact: Fact,
        run: tuple[str, str],
        person: Person,
        why: str,
        envelope: Envelope,
        *,
        standing: Collection[str],
    ) -> Verdict | None:
        """Take a slot for a run (workflow and id); returns what the fact comes to where there is none, or where a person said so.

        ``standing``: the workflows of all facts of this look. Raises LostRace or StoreUnavailable.
        """
        workflow, run_id = run
        if self._strikes_nobody(workflow, fact):
            return None
        change = self.held.get(partition.name) if partition.head.held else None
        before = partition.head.known.baseline
        mine = change is not None and workflow in change.workflows
        decision = change.decision if change is not None and mine else None
        if decision is HeldDecision.DISCARD:
            partition.audit("hold discarded", f"somebody decided that nothing starts: {why}", cause=envelope.cause, workflow=workflow)
            return Verdict.DROP
        urgent = self._is_urgent(person, before)
        if mine and decision is None and not urgent:
            # However many slots are free by now: what was held once is for a person to decide.
            return Verdict.HOLD
        # A move is counted where they were: it is that department that empties.
        ask = Ask(workflow=workflow, run_id=run_id, department=(before or person).department, how=evidence(fact))
        # Somebody saw the list when they applied the edit; what takes slots needs them all the same.
        chosen = envelope.cause == APPLIED and workflow not in self.policy.breaker.workflows
        refusal = self.breaker.take(ask, beyond=urgent or chosen or decision is HeldDecision.RELEASE)
        if refusal is None:
            return None
        also = [name for name in change.workflows if name in standing] if change is not None else []
        names = ", ".join(dict.fromkeys((*also, workflow)))
        full = f"{refusal.named}; {refusal.why}" if refusal.named else refusal.why
        self.held.put(HeldChange(partition=partition.name, workflow=names, at=self.clock.now(), why=f"{why}; {full}"))
        partition.head = replace(partition.head, held=names)
        partition.audit("held", f"{why}; {full}", cause=envelope.cause, workflow=workflow)
        known = f"{refusal.named}; " if refusal.named else ""
        cause = f"{known}the breaker holds every further {workflow} run; `joinery held list` shows whom, and what can be done"
        partition.alert(f"{workflow} is held: {full}", cause=cause)
        return Verdict.HOLD

    def passes(self, workflow: str, fact: Fact, person: Person, before: Person | None) -> bool:
        """Whether the breaker lets this through whatever it counts."""
        return self._strikes_nobody(workflow, fact) or self._is_urgent(person, before)

    def _strikes_nobody(self, workflow: str, fact: Fact) -> bool:
        return workflow not in self.policy.breaker.workflows and isinstance(fact, _STRIKE_NOBODY)

    def _is_urgent(self, *people: Person | None) -> bool:
        return any(set(self.policy.breaker.urgent_groups) & person.groups for person in people if person is not None)

    def end_hold(self, partition: Partition, verdicts: list[Verdict], envelope: Envelope, *, in_doubt: bool) -> None:
        """What was held was decided, or is no longer so. A row about what nobody waits for goes, too.

        ``in_doubt``: this look says nothing yet, and the second one will; until then whatever waits for a person goes on waiting.
        """
        if not partition.head.held and envelope.cause == DECIDED:
            # A row whose commit never came: somebody decided about it, and nothing is held.
            self.held.drop(partition.name)
        if envelope.cause == DECIDED:
            for workflow in self.promotions.of(partition.name).keys() - rehearsed_workflows(partition):
                self.promotions.done(partition.name, workflow)
        if partition.head.held and Verdict.HOLD not in verdicts and not in_doubt:
            if not verdicts:
                partition.audit("hold ended", "it is no longer so; nothing was done", workflow=partition.head.held)
            partition.head = replace(partition.head, held="")
            partition.afterwards(lambda: self.held.drop(partition.name))

    def count_active(self, partition: Partition) -> None:
        """Keep the index of active people, of which the breaker's shares are taken: a row before the commit, or gone after it."""
        seen = partition.head.known.seen
        active = partition.head.episode.stage is Stage.ACTIVE
        mark = department_mark(seen.department) if active and seen else ""
        if (active, mark) == (partition.head.active, partition.head.counted_in):
            return
        partition.head = replace(partition.head, active=active, counted_in=mark)
        if active:
            self.store.put_index(ACTIVE, partition.name, {"department": mark})
        else:
            partition.afterwards(lambda: self.store.delete_index(ACTIVE, partition.name))


def rehearsed_workflows(partition: Partition) -> set[str]:
    """Names of the workflows of which shadow saw a fact that still stands."""
    return {identity.partition("-")[0] for identity in partition.head.rehearsed}


def was_rehearsed(partition: Partition, workflow: str, episode: int) -> bool:
    """Whether shadow saw a fact for this workflow in this stay, and it still stands."""
    return any(identity.startswith(f"{workflow}-{episode}-") for identity in partition.head.rehearsed)
