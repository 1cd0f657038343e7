"""What people may ask: who is known, what ran, what happened and why. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from joinery.domain.moments import to_text
from joinery.domain.person import Person
from joinery.engine import lookup
from joinery.engine.audit import AUDIT, PERSONAL, AuditRecord, read_record
from joinery.engine.journal import Check, Head, Run, Step, record_of, whole_head
from joinery.engine.parking import ParkedMessage, ParkingLot
from joinery.engine.partition import PERSONS, RUNS
from joinery.engine.ports import Document, StateStore
from joinery.engine.rows import index_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownPerson:
    """A person as far as we know them."""

    partition: str
    head: Head

    @property
    def person(self) -> Person | None:
        """As last seen."""
        return self.head.known.seen


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditLine:
    """An audit entry, with the personal data that goes with it where that was not erased."""

    partition: str
    record: AuditRecord
    personal: Document | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunView:
    """A run and its steps, open or ended."""

    partition: str
    run: Run
    steps: tuple[Step, ...]


class ReadSide:
    """Questions about what is stored."""

    def __init__(self, store: StateStore, parking: ParkingLot) -> None:
        self._store = store
        self._parking = parking

    def people(self) -> Iterator[KnownPerson]:
        """Everybody who was ever seen."""
        return self._known(row.name for row in index_rows(self._store, PERSONS))

    def _known(self, partitions: Iterable[str]) -> Iterator[KnownPerson]:
        # An index row is written before the commit it points to; one that dangles is skipped.
        return (known for partition in partitions if (known := self.known(partition)) is not None)

    def known(self, partition: str) -> KnownPerson | None:
        """Whoever this partition is about; None where nothing is stored."""
        head = whole_head(self._store.read(partition))
        return KnownPerson(partition=partition, head=Head.from_document(head, partition=partition)) if head is not None else None

    def find(self, who: str) -> tuple[KnownPerson, ...]:
        """People by directory id, user principal name, mail or display name (without case)."""
        wanted = who.strip().casefold()
        ids = (row.name for row in index_rows(self._store, PERSONS) if row.name.rpartition(":")[2].casefold() == wanted)
        likely = sorted({*ids, *lookup.named(self._store, who)})
        found = tuple(known for known in self._known(likely) if _is(known, who))
        # Whoever was last seen by a release without that index is in none of its rows.
        return found or tuple(known for known in self.people() if _is(known, who))

    def audit(self, partition: str, *, after_seq: int = 0) -> Iterator[AuditLine]:
        """A partition's audit entries after ``after_seq``, oldest first."""
        after = f"{AUDIT}{after_seq:012d}"
        while rows := self._store.scan(partition, AUDIT, after=after):
            first, last = rows[0].name.removeprefix(AUDIT), rows[-1].name.removeprefix(AUDIT)
            # As many personal rows as entries at most, so one scan covers them.
            beside = self._store.scan(partition, PERSONAL, after=f"{PERSONAL}{int(first) - 1:012d}", limit=len(rows))
            personal = {row.name.removeprefix(PERSONAL): row.data["data"] for row in beside if row.name <= f"{PERSONAL}{last}"}
            for row in rows:
                yield AuditLine(partition=partition, record=read_record(row), personal=personal.get(row.name.removeprefix(AUDIT)))
            after = rows[-1].name

    def run(self, partition: str, seq: int) -> RunView | None:
        """One run with its steps."""
        rows = self._store.scan(partition, f"~closed.{seq:06d}") or self._store.scan(partition, f"run.{seq:06d}")
        if not rows:
            return None
        head, *rest = rows
        steps = sorted((record_of(row.data, Step, place=f"{partition}, {row.name}") for row in rest), key=lambda step: step.n)
        return RunView(partition=partition, run=record_of(head.data, Run, place=f"{partition}, {head.name}"), steps=tuple(steps))

    def runs(self, *, since: datetime | None = None) -> Iterator[RunView]:
        """All runs, in the order in which they started."""
        for row in index_rows(self._store, RUNS, after=to_text(since) if since else ""):
            moment, _, rest = row.name.partition("|")
            partition, _, seq = rest.rpartition("|")
            view = self.run(partition, int(seq))
            # A row that was written before a commit that never came may name the seq of a later run.
            if view is not None and to_text(view.run.started_at) == moment:
                yield view

    def checks(self, partition: str) -> tuple[Check, ...]:
        """Twin checks that are still due for this person."""
        return tuple(record_of(row.data, Check, place=f"{partition}, {row.name}") for row in self._store.scan(partition, "check."))

    def parked(self) -> tuple[ParkedMessage, ...]:
        """Messages that nobody could understand."""
        return self._parking.listed()


def _is(known: KnownPerson, who: str) -> bool:
    by_id = known.partition.rpartition(":")[2].casefold() == who.strip().casefold()
    return by_id or (known.person is not None and lookup.is_called(known.person, who))
