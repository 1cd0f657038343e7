"""The first day: everybody who is there already is taken in as they are, and nothing starts because of it.

Without it the first look at somebody in the joiner group takes them for a joiner. Who has been decided on before is left alone, so it can
be given again, and beside a Joinery that runs: afterwards a change starts exactly what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from joinery.domain.changes import Episode, Known, Stage
from joinery.domain.edits import under
from joinery.domain.identity import classify
from joinery.domain.person import Person
from joinery.engine import lookup
from joinery.engine.envelope import person_subject
from joinery.engine.gate import Gate
from joinery.engine.groups import GroupBook, named
from joinery.engine.partition import Partition
from joinery.engine.policy_book import PolicyBook
from joinery.engine.ports import Clock, Directory, StateStore
from joinery.engine.sweeps import watch
from joinery.errors import LostRace

#: The action in a person's audit.
TAKEN_IN = "taken in"
#: How often it reads again where somebody else writes about the same person.
_RACES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineReport:
    """What a baseline came to; people, not accounts that are nobody's."""

    taken_in: int = 0
    #: Taken in, and in a watched group.
    in_groups: int = 0
    #: Decided on before.
    known: int = 0
    #: Protected, shared, service, guest, or of no known kind: never acted upon.
    left_alone: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseliner:
    """Takes in who is there."""

    tenant: str
    open_partition: Callable[[str], Partition]
    store: StateStore
    directory: Directory
    groups: GroupBook
    policies: PolicyBook
    gate: Gate
    clock: Clock

    def run(self) -> BaselineReport:
        """Everybody in the directory. Raises what the directory and the store raise; a repeat goes on where it stopped."""
        self.groups.refresh(force=True)
        watch(self.store, self.clock)
        ids = self.groups.ids()
        report = BaselineReport()
        for person_id in self._everybody():
            sighting = named(self.directory.look(person_id, ids.values()), ids)
            if isinstance(sighting, Person):
                report = self._take_in(sighting, ids, report)
        self.gate.breaker.count_active(anew=True)
        return report

    def _everybody(self) -> Iterator[str]:
        link: str | None = None
        while True:
            page = self.directory.people_delta(link)
            yield from page.person_ids
            if page.next_link is None:
                return
            link = page.next_link

    def _take_in(self, person: Person, ids: dict[str, str], report: BaselineReport) -> BaselineReport:
        for race in range(_RACES):
            partition = self.open_partition(f"{self.tenant}|{person_subject(person.id)}")
            head, policy = partition.head, self.policies.now()
            if head.known.baseline is not None or partition.runs:
                return replace(report, known=report.known + 1)
            identity = classify(person, policy.identity)
            if not identity.may_be_acted_upon:
                # The first look says so, and does nothing.
                return replace(report, left_alone=report.left_alone + 1)
            now = self.clock.now()
            episode = replace(head.episode, stage=self._stage(person, head.episode))
            known = Known(seen=person, baseline=under(person, policy), decided_at=now, episode=episode)
            partition.head = replace(head, known=known, identity=identity, look_again_at=None, rehearsed=(), told="", held="")
            partition.audit(TAKEN_IN, "baseline: as they are, and nothing starts", groups=sorted(person.groups))
            self.gate.count_active(partition)
            lookup.remember(partition, self.store, head.known.seen, person, ids)
            try:
                partition.commit()
            except LostRace:
                if race == _RACES - 1:
                    raise
                continue
            return replace(report, taken_in=report.taken_in + 1, in_groups=report.in_groups + bool(person.groups))
        raise AssertionError("the last race returns or raises")

    def _stage(self, person: Person, before: Episode) -> Stage:
        if before.stage is Stage.LEFT:
            return before.stage
        if person.account_enabled:
            return Stage.ACTIVE
        return Stage.PREHIRE if person.hire_date and person.hire_date > self.clock.now() else Stage.NONE
