"""The live timeline: what the audit gained since the last look, in the order in which it happened. Reads only."""

from __future__ import annotations

from joinery.cli.words import Told, tell
from joinery.engine.readside import KnownPerson, ReadSide


class Timeline:
    """Remembers per partition how far it was told; the heads say which partitions have news."""

    def __init__(self, reads: ReadSide) -> None:
        self._reads = reads
        self._told: dict[str, int] = {}

    def skip(self, *, only_new_people: bool = False) -> None:
        """What stands there now is no news; with ``only_new_people`` for those alone of whom nothing was ever told or skipped."""
        for known in self._reads.people():
            if not (only_new_people and known.partition in self._told):
                self._told[known.partition] = known.head.audit_seq

    def news(self) -> list[Told]:
        """Lines that came since the last call, oldest first."""
        lines: list[Told] = []
        for known in self._reads.people():
            told = self._told.get(known.partition, 0)
            if known.head.audit_seq > told:
                records = [line.record for line in self._reads.audit(known.partition, after_seq=told)]
                self._told[known.partition] = records[-1].seq if records else known.head.audit_seq
                lines += tell(records, name_of(known))
        return sorted(lines, key=lambda line: line.at)


def name_of(known: KnownPerson) -> str:
    """What people call them; the id where nothing else is known any more."""
    return known.person.name if known.person else known.partition.rpartition(":")[2]
