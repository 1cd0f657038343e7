"""What reaches the questions that a person's runs have open: an answer on a ticket, and news of the person."""

from __future__ import annotations

from dataclasses import dataclass

from joinery.domain.changes import Stage
from joinery.domain.person import Person, Sighting
from joinery.engine.answers import GONE, MOVED_ON, AnswerPost
from joinery.engine.asking import wake
from joinery.engine.envelope import Envelope
from joinery.engine.journal import Head
from joinery.engine.late_answers import LateAnswers
from joinery.engine.partition import Partition


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """One for all partitions."""

    answers: AnswerPost
    late: LateAnswers
    #: Names of groups: whoever is in one cannot be asked.
    away_groups: frozenset[str]

    def woken_by(self, partition: Partition, envelope: Envelope) -> bool:
        """Whether a run waits for an approval on the ticket that an answer is about; it looks again then. Otherwise it may come too late.

        Raises TryLater or Refused from the desk, LostRace, StoreUnavailable.
        """
        moved_on = envelope.at if envelope.cause == MOVED_ON else None
        if wake(partition, envelope.about, heard=envelope.cause != GONE, moved_on=moved_on):
            return True
        self.answers.forget(envelope.about, partition.name)
        self.late.hear(partition, envelope.about)
        return False

    def tell(self, partition: Partition, before: Head, sighting: Sighting) -> None:
        """Approvals go to the manager of now, and not to somebody who can no longer be asked, or has another post: let them look again."""
        seen = before.known.seen
        gone = partition.head.episode.stage is Stage.LEFT and before.episode.stage is not Stage.LEFT
        if isinstance(sighting, Person) and seen is not None:
            if _manager_of(seen) != _manager_of(sighting):
                wake(partition)
            gone = (
                gone
                or _has_moved(seen, sighting)
                or bool((sighting.groups - seen.groups) & self.away_groups)
                or (seen.account_enabled and not sighting.account_enabled)
            )
        if gone:
            partition.afterwards(lambda: self.answers.asked_is_gone(sighting.id))


def _manager_of(person: Person) -> str:
    return person.manager.id if person.manager else ""


def _has_moved(before: Person, now: Person) -> bool:
    return any(getattr(before, field) != getattr(now, field) for field in ("department", "job_title", "company_name", "office_location"))
