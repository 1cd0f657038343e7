"""Erasing what we know of a person's names, addresses and whatever else describes them.

What goes: the personal rows of the audit; the person inside the head, inside ended runs, their steps' orders, values and
troubles; parked messages that name them. What stays, because decisions need it or evidence is made of it: the directory id,
the watched groups, where the person stands, ids on the desk, times, hashes. The chain stays whole, for its entries hold
digests alone, and a digest without its salt tells nothing. What only a newer release understands is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from joinery.domain.moments import to_text
from joinery.domain.person import Person
from joinery.engine import codec, lookup
from joinery.engine.audit import PERSONAL
from joinery.engine.breaker import HELD
from joinery.engine.journal import APPROVAL, JOURNAL_VERSION, KNOWN, VALUE, Check, Head, Run, split_head, whole_head
from joinery.engine.operations import ERASED, OperatorLog
from joinery.engine.parking import ParkingLot
from joinery.engine.ports import Clock, Commit, Document, Randomness, Row, Snapshot, StateStore
from joinery.engine.reports import REPORTS
from joinery.engine.rows import index_row, partition_rows
from joinery.errors import LostRace

#: The index of erasures that wait for the end of a run.
ERASURES = "erasures"
_CLOSED = "~closed."
#: Rows changed by one commit; the port takes 100, head included.
_BATCH = 90
#: Shorter texts stand in too many messages by chance.
_TELLING = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Erasure:
    """How an attempt to erase ended."""

    #: Why it cannot be done now, a sentence each; then nothing was touched.
    blocked_by: tuple[str, ...] = ()
    #: Stored rows that held something, the head included.
    rows: int = 0
    #: Parked messages that were emptied.
    parked: int = 0


class Eraser:
    """Erases one person at a time. A repeat after a crash, or for somebody who was erased before, is harmless.

    ``shred`` makes what was deleted unreadable where the store keeps its files; it is called at the end, even if nothing was left.
    """

    def __init__(
        self,
        store: StateStore,
        parking: ParkingLot,
        log: OperatorLog,
        *,
        clock: Clock,
        randomness: Randomness,
        shred: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._parking = parking
        self._log = log
        self._clock = clock
        self._randomness = randomness
        self._shred = shred

    def names_the_person(self, partition: str, text: str) -> bool:
        """Whether a text that stays (the reason) holds what is to go. The id may stand in it."""
        identity = partition.rpartition(":")[2]
        texts = self._known_texts(partition, self._store.read(partition))
        return any(known.casefold() in text.casefold() for known in texts if known.casefold() != identity.casefold())

    def erase(self, partition: str, *, reason: str, by: str) -> Erasure:
        """Erase, unless a run or a late check is open. The operators' audit tells it first, by id. Raises StoreUnavailable, UnknownJournal."""
        told_up_to: int | None = None
        done = Erasure()
        while True:
            snapshot = self._store.read(partition)
            blocked = (*_still_open(snapshot), *self._held(partition))
            if blocked:
                return replace(done, blocked_by=blocked)
            stored = whole_head(snapshot)
            if stored is None:
                break
            audited = Head.from_document(stored, partition=partition).audit_seq
            up_to = audited if told_up_to is None else told_up_to
            changes, more = self._changes(partition, up_to)
            head = stored if more else _scrubbed_head(stored)
            if not changes and head == stored and told_up_to is not None:
                break
            if told_up_to is None:
                texts = self._known_texts(partition, snapshot)
                if not changes and head == stored and not self._parking.holds(texts):
                    break
                # The audit first: whatever is missing can always be explained.
                told_up_to = up_to
                identity = partition.rpartition(":")[2]
                self._log.record(ERASED, reason, by=by, partition=partition, person=identity, up_to=up_to)
                # While we still know what to look for.
                if (seen := Head.from_document(stored, partition=partition).known.seen) is not None:
                    lookup.forget(self._store, partition, seen)
                done = replace(done, parked=self._parking.forget(texts))
                continue
            if self._commit(partition, snapshot, head, changes):
                done = replace(done, rows=done.rows + len(changes) + (head != stored))
                if not more:
                    break
        self._shred()
        return done

    def _held(self, partition: str) -> Iterator[str]:
        if index_row(self._store, HELD, partition) is not None:
            yield "a change of theirs is held, and nobody has decided on it or the next look is still to come"

    def _commit(self, partition: str, snapshot: Snapshot, head: Document, changes: list[Row | str]) -> bool:
        bare, known = split_head(head)
        commit = Commit(
            partition=partition,
            expected=snapshot.etag,
            commit_id=self._randomness.token(),
            head={**{name: value for name, value in bare.items() if name != "commit_id"}, "version": JOURNAL_VERSION},
            put=(known, *(change for change in changes if isinstance(change, Row))),
            delete=tuple(change for change in changes if isinstance(change, str)),
        )
        try:
            self._store.commit(commit)
        except LostRace:
            # The person is being handled in this moment: look again.
            return False
        return True

    def _changes(self, partition: str, up_to: int) -> tuple[list[Row | str], bool]:
        """The next rows to replace, and names of those to delete; and whether there are more."""
        changes: list[Row | str] = []
        for change in self._all_changes(partition, up_to):
            if len(changes) == _BATCH:
                return changes, True
            changes.append(change)
        return changes, False

    def _all_changes(self, partition: str, up_to: int) -> Iterator[Row | str]:
        for row in partition_rows(self._store, partition, PERSONAL):
            if int(row.name.removeprefix(PERSONAL)) <= up_to:
                yield row.name
        for row in partition_rows(self._store, partition, _CLOSED):
            data = _scrubbed_step(row.data) if ".step." in row.name else _scrubbed_run(row.data)
            if data != row.data:
                yield Row(name=row.name, data=data)

    def _known_texts(self, partition: str, snapshot: Snapshot) -> tuple[str, ...]:
        """What tells this person from others, wherever their records say it."""
        documents = [(whole_head(snapshot) or {}).get(KNOWN, {}).get(name) for name in ("seen", "baseline")]
        runs = [row.data for row in partition_rows(self._store, partition, _CLOSED) if ".step." not in row.name]
        documents += [run.get(name) for run in runs for name in ("person", "before")]
        people = [codec.from_document(document, Person) for document in documents if document]
        texts = (text for one in people for text in _telling(one))
        return tuple(dict.fromkeys(text for text in texts if len(text) >= _TELLING))

    # --- when the last run has ended ---

    def wish(self, partition: str, *, reason: str, by: str) -> None:
        """Erase this person by itself as soon as nothing about them is open."""
        self._store.put_index(ERASURES, partition, {"reason": reason, "by": by, "at": to_text(self._clock.now())})

    def carry_out_wishes(self) -> int:
        """Try every erasure that was wished for; returns how many are done. Raises StoreUnavailable."""
        done = 0
        for row in self._store.list_index(ERASURES):
            if not self.erase(row.name, reason=row.data["reason"], by=row.data["by"]).blocked_by:
                self._store.delete_index(ERASURES, row.name)
                done += 1
        return done


def _still_open(snapshot: Snapshot) -> Iterator[str]:
    """What still needs to know who the person is."""
    if (whole_head(snapshot) or {}).get(KNOWN, {}).get("doubts"):
        yield "a change of theirs is not believed yet, and what it changed from would be forgotten; the next look decides it"
    for row in snapshot.rows:
        if row.name.startswith("check."):
            check = codec.from_document(row.data, Check)
            yield f"a late check of {check.run} is due at {check.due:%Y-%m-%d %H:%M:%S} UTC"
        elif row.name.startswith("run.") and row.name.count(".") == 1:
            run = codec.from_document(row.data, Run)
            yield f"run {run.id} is open" + (f" ({run.waiting_for})" if run.waiting_for else "")


def _scrubbed_head(head: Document) -> Document:
    known = dict(head.get(KNOWN, {}))
    for name in ("seen", "baseline"):
        if known.get(name):
            known[name] = _scrubbed_person(known[name])
    return {**head, KNOWN: known}


def _scrubbed_person(document: Document) -> Document:
    erased = codec.from_document(document, Person).without_personal_data()
    # As it comes back from the store, so that what was erased before is seen to be equal.
    return dict(json.loads(codec.to_bytes(codec.to_document(erased))))


def _scrubbed_run(run: Document) -> Document:
    return {**run, **{name: _scrubbed_person(run[name]) for name in ("person", "before") if run.get(name)}}


def _scrubbed_step(step: Document) -> Document:
    """Refs to what was made on the desk stay; a value may be anything that a recipe computed, and an answer has the words of a person."""
    result: Any = None if step.get("asks") in (VALUE, REPORTS) else step.get("result")
    if step.get("asks") == APPROVAL and isinstance(result, dict):
        result = {name: value for name, value in result.items() if name != "words"}
    return {**step, "order": None, "result": result, "trouble": ""}


def _telling(person: Person) -> Iterable[str]:
    return (
        person.id,
        person.user_principal_name,
        person.mail,
        person.display_name,
        person.surname,
        person.employee_id,
        *person.former_addresses,
    )
