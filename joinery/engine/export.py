"""The audit as JSON Lines, with everything that somebody else needs to check it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from joinery.domain.moments import from_text, to_text
from joinery.engine.audit import AUDIT
from joinery.engine.ports import Clock, Document, StateStore
from joinery.engine.verification import AuditVerifier


class AuditExporter:
    """Writes out chains as they are, sound or not."""

    def __init__(self, store: StateStore, verifier: AuditVerifier, *, clock: Clock) -> None:
        self._store = store
        self._verifier = verifier
        self._clock = clock

    def everything(self) -> Iterator[Document]:
        """All chains. Raises StoreUnavailable or SealUnavailable."""
        return self._export(self._verifier.partitions(self._verifier.seals()), whole=True)

    def of(self, partitions: Iterable[str]) -> Iterator[Document]:
        """These chains alone."""
        return self._export(partitions, whole=False)

    def _export(self, partitions: Iterable[str], *, whole: bool) -> Iterator[Document]:
        """First one line with all heads, so that nothing can be cut off unseen; then an entry a line.

        An entry is what its hash is made over, with ``hash``, ``partition``, and ``personal`` (salt and data) where it was not erased.
        """
        heads = {partition: head for partition in partitions if (head := self._head(partition))["seq"] or whole}
        yield {"at": to_text(self._clock.now()), "whole": whole, "heads": heads}
        for partition, head in heads.items():
            beside = self._verifier.beside(partition)
            for row in self._verifier.scan(partition, AUDIT):
                name = row.name.removeprefix(AUDIT)
                if name > f"{head['seq']:012d}":
                    # It came after the heads were read.
                    break
                personal = beside.row(name)
                yield {
                    **row.data,
                    "at": _as_hashed(row.data.get("at")),
                    "partition": partition,
                    **({"personal": personal} if personal else {}),
                }

    def _head(self, partition: str) -> Document:
        head = self._store.read(partition).head or {}
        return {"seq": head.get("audit_seq", 0), "hash": head.get("audit_hash", "")}


def _as_hashed(at: object) -> object:
    """Entries of the first release have a shorter form of their moment than the one that was hashed."""
    try:
        return to_text(from_text(str(at)))
    except ValueError:
        return at
