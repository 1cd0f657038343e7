"""An operator comes by: looks at what waits for a person's word, and says it about some of it, at once or late, sometimes twice.

They do what the commands do, and remember what they saw and said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from joinery.domain.edits import facts_of_edit, in_force, rules_of, waiting
from joinery.domain.events import RolesChanged
from joinery.domain.moments import from_text
from joinery.engine.breaker import HeldBook, HeldDecision
from joinery.engine.parking import ParkingLot
from joinery.engine.policy_book import APPLIED, RULES, applied_rules, apply, written_rules
from joinery.engine.promotion import Promotion, PromotionBook, want_looks
from joinery.engine.readside import ReadSide
from joinery.engine.sweeps import SWEPT
from joinery.errors import LostRace, StoreUnavailable
from tests.simulation.theme import RINGS, Visit

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

SEEN_HELD, RELEASED, DISCARDED = "held was seen", "held was released", "held was discarded"
SEEN_REHEARSED, PROMOTED, DROPPED = "rehearsed was seen", "rehearsed was promoted", "rehearsed was dropped"
APPLY, LISTED = "an edit was applied", "an edit was to strike"

_HELD_WORDS = {HeldDecision.RELEASE: RELEASED, HeldDecision.DISCARD: DISCARDED}
_RING_WORDS = {Promotion.RUN: PROMOTED, Promotion.DROP: DROPPED}


@dataclass(frozen=True, slots=True)
class Word:
    """What an operator saw or said, and when; about everybody where no person is named."""

    at: float
    what: str
    person: str = ""
    workflow: str = ""


class Operator:
    """Works at the command: store and clock at hand, no bus."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._store = simulation.store
        self._held = HeldBook(self._store)
        self._promotions = PromotionBook(self._store)
        self._reads = ReadSide(self._store, ParkingLot(self._store, clock=simulation.clock, randomness=simulation.randomness))
        #: All that was seen and said, in its order.
        self.words: list[Word] = []

    def comes_by(self, visit: Visit) -> None:
        """See to it."""
        act = {RINGS: self._sees_to_rehearsals, "held": self._sees_to_held, "apply": self._applies}[visit.what]
        self._try(act)

    def _try(self, act: Callable[[], None]) -> None:
        """Who meets a store that does not answer tries again."""
        try:
            act()
        except (StoreUnavailable, LostRace):
            self._later(20.0, lambda: self._try(act))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._simulation.agenda.at(self._simulation.now + seconds, act)

    def _notes(self, what: str, partition: str = "", workflow: str = "") -> None:
        simulation = self._simulation
        simulation.count(what)
        simulation.say(f"operator: {what} {partition} {workflow}")
        self.words.append(Word(simulation.now, what, partition.rpartition(":")[2], workflow))

    # --- held ---

    def _sees_to_held(self) -> None:
        simulation = self._simulation
        # A whole wave often gets one answer.
        same = simulation.pick(3) if simulation.chance(0.4) else None
        for change in self._held.listed():
            for workflow in change.workflows:
                self._notes(SEEN_HELD, change.partition, workflow)
            kind = simulation.pick(3) if same is None else same
            if kind == 2:
                continue
            self._decides(change.partition, list(HeldDecision)[kind])
            if simulation.chance(0.2):
                again = list(HeldDecision)[simulation.pick(2)]
                self._later(
                    simulation.uniform(0.5, 600),
                    lambda partition=change.partition, again=again: self._try(lambda: self._decides(partition, again)),  # type: ignore[misc]
                )

    def _decides(self, partition: str, decision: HeldDecision) -> None:
        change = self._held.get(partition)
        if change is not None:
            self._held.put(replace(change, decision=decision))
            for workflow in change.workflows:
                self._notes(_HELD_WORDS[decision], partition, workflow)

    # --- rehearsed ---

    def _sees_to_rehearsals(self) -> None:
        simulation = self._simulation
        for known in list(self._reads.people()):
            episode = known.head.episode.number
            # The command is given one workflow at a time.
            for workflow in dict.fromkeys(identity.partition("-")[0] for identity in known.head.rehearsed):
                if not any(identity.startswith(f"{workflow}-{episode}-") for identity in known.head.rehearsed):
                    continue
                self._notes(SEEN_REHEARSED, known.partition, workflow)
                kind = simulation.pick(5)
                if kind > 2:
                    continue
                promotion = Promotion.DROP if kind == 2 else Promotion.RUN
                # Reading a list and answering takes a person some time.
                self._says_later(simulation.uniform(0, 90), known.partition, workflow, promotion)
                if simulation.chance(0.15):
                    self._says_later(simulation.uniform(90, 900), known.partition, workflow, promotion)

    def _says_later(self, wait: float, partition: str, workflow: str, promotion: Promotion) -> None:
        def says() -> None:
            self._promotions.decide(partition, workflow, promotion)
            self._notes(_RING_WORDS[promotion], partition, workflow)

        self._later(wait, lambda: self._try(says))

    # --- an edited policy ---

    def _applies(self) -> None:
        store, policy = self._store, self._simulation.policy
        document = store.read_shared(RULES)[1]
        applied, written = applied_rules(document), written_rules(document)
        swept = store.read_shared(SWEPT)[1]
        if applied is None or written is None or written[0] != rules_of(policy) or not list(waiting(applied, policy)):
            return
        if swept is None or from_text(swept["at"]) < written[1] or not self._simulation.workers.are_up_to_date:
            self._later(300, lambda: self._try(self._applies))
            return
        before, now = in_force(applied, policy), self._simulation.clock.now()
        struck = [(one.partition, facts_of_edit(one.head.known, one.head.grants, before, policy, now)) for one in self._reads.people()]
        listed = {partition: facts for partition, facts in struck if facts}
        want_looks(store, listed, APPLIED)
        apply(store, policy, self._simulation.clock)
        want_looks(store, listed, APPLIED)
        self._notes(APPLY)
        for partition, facts in listed.items():
            for fact in facts:
                for group in fact.gained if isinstance(fact, RolesChanged) else ():
                    self._notes(LISTED, partition, group)
