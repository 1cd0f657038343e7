"""Handles an envelope about a watched group: who is in it, who was, and a look for each person who differs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from joinery.engine.envelope import Envelope, EnvelopeKind, group_subject, person_subject
from joinery.engine.groups import GroupBook
from joinery.engine.lookup import HOLDERS
from joinery.engine.partition import PERSONS
from joinery.engine.ports import Clock, Directory, MessageQueue, Outgoing, StateStore
from joinery.engine.rows import index_row, index_rows
from joinery.errors import TryLater

#: While a watched name is missing, the directory is asked at most this often.
_ASK_EVERY = timedelta(seconds=10)
#: Of so many members it is looked up who they are; of more, one question to the directory is less work.
_KNOWN_UP_TO = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupLooks:
    """Turns news about groups into looks at people."""

    store: StateStore
    queue: MessageQueue
    directory: Directory
    groups: GroupBook
    clock: Clock

    def handle(self, envelope: Envelope) -> int:
        """Send a look to each person concerned; returns how many. Raises what the directory and the queue raise."""
        group = envelope.subject_id
        around = self.groups.around(group)
        if not around:
            # It may be the one whose name was missing until now, unless somebody asked since.
            self._ask_again(envelope)
            around = self.groups.around(group)
            if not around:
                return 0
        people: frozenset[str] = frozenset()
        nested: frozenset[str] = frozenset()
        if envelope.members:
            people = self._known(envelope)
            if unknown := [member for member in envelope.members if member.lower() not in people]:
                found, nested = self.directory.people_among(unknown)
                people |= found
            typed = people | nested
            # An id that the directory does not know any more may be a nested group that is gone: then everybody is compared.
            compare = bool({member.lower() for member in envelope.members} - {one.lower() for one in typed})
        else:
            compare = True
        for inner in nested:
            people |= self.directory.people_in(inner)
        if compare or nested:
            before = set(self.groups.ids().values())
            self._learn(envelope)
            for watched in dict.fromkeys((*around, *self.groups.around(group))):
                now = frozenset(identity.lower() for identity in self.directory.people_in(watched))
                people |= now ^ self._holders(watched)
                if not now and watched == group:
                    self._look_for_successor(envelope, before)
        subjects = sorted(person_subject(identity) for identity in people)
        looks = [
            Envelope(
                tenant=envelope.tenant,
                subject=subject,
                kind=EnvelopeKind.LOOK,
                cause=f"{envelope.cause} about a group",
                at=self.clock.now(),
            )
            for subject in subjects
        ]
        if looks:
            self.queue.send(Outgoing(body=look.encode(), session_id=look.session_id) for look in looks)
        return len(looks)

    def _known(self, envelope: Envelope) -> frozenset[str]:
        """Which of a few named members are people whom we have met: nobody needs to be asked what they are."""
        if len(envelope.members) > _KNOWN_UP_TO:
            return frozenset()
        subjects = {member.lower(): f"{envelope.tenant}|{person_subject(member.lower())}" for member in envelope.members}
        return frozenset(member for member, name in subjects.items() if index_row(self.store, PERSONS, name) is not None)

    def _learn(self, envelope: Envelope) -> None:
        """Which groups lie in which may be what changed; asked once for all envelopes of one moment."""
        asked = self.groups.resolved_at
        if asked is None or asked <= envelope.at:
            self.groups.refresh(force=True)

    def _ask_again(self, envelope: Envelope) -> None:
        """Resolve the names anew if that was not done since the notification; a burst about other groups costs one question."""
        asked = self.groups.resolved_at
        if asked is not None and asked > envelope.at:
            return
        soonest = asked + _ASK_EVERY if asked else None
        if soonest is not None and self.clock.now() < soonest:
            raise TryLater("the watched names were resolved a moment ago", after=soonest - self.clock.now())
        self.groups.refresh()

    def _look_for_successor(self, envelope: Envelope, before: set[str]) -> None:
        """An empty group may be one that was deleted: another with its name may have taken its place."""
        self.groups.refresh(force=True)
        for successor in sorted(set(self.groups.ids().values()) - before):
            look = replace(envelope, subject=group_subject(successor), members=())
            self.queue.send([Outgoing(body=look.encode(), session_id=look.session_id)])

    def _holders(self, group: str) -> frozenset[str]:
        rows = index_rows(self.store, HOLDERS, prefix=f"{group}|")
        return frozenset(row.name.partition("|")[2].partition(":")[2] for row in rows)
