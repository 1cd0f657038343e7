"""The audit chain: every entry carries the hash of the one before it, over a salted digest of the personal data.

The personal data lies in a row of its own, so that it can be erased without breaking the chain.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime

from joinery.domain.moments import to_text
from joinery.engine import codec
from joinery.engine.ports import Document, Row

#: Row name prefixes above the open range.
AUDIT = "~audit."
PERSONAL = "~personal."


@codec.stored
@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRecord:
    """One line of the audit. ``detail`` holds ids and counts only; names and addresses go to the personal row."""

    seq: int
    at: datetime
    #: What happened, one of a few constant words: looked, decided, run started, step done, …
    action: str
    why: str = ""
    run: str = ""
    step: str = ""
    detail: Document = field(default_factory=dict)
    #: SHA-256 over salt and personal data; empty where there is none.
    digest: str = ""
    prev: str = ""
    hash: str = ""

    def computed_hash(self) -> str:
        """SHA-256 over the previous hash and everything else, as canonical JSON."""
        document = {**codec.to_document(self), "at": to_text(self.at)}
        del document["hash"]
        return hashlib.sha256(codec.to_bytes(document)).hexdigest()


def chain(record: AuditRecord, *, after: str, personal: Document | None, salt: str) -> tuple[AuditRecord, tuple[Row, ...]]:
    """Link a record to the hash before it; returns it with its hash, and the rows to write in the same commit."""
    digest = hashlib.sha256(salt.encode() + codec.to_bytes(personal)).hexdigest() if personal else ""
    linked = replace(record, digest=digest, prev=after)
    linked = replace(linked, hash=linked.computed_hash())
    rows = [Row(name=f"{AUDIT}{linked.seq:012d}", data=codec.to_document(linked))]
    if personal:
        rows.append(Row(name=f"{PERSONAL}{linked.seq:012d}", data={"salt": salt, "data": personal}))
    return linked, tuple(rows)


def read_record(row: Row) -> AuditRecord:
    """An entry from its row."""
    return codec.from_document(row.data, AuditRecord)


def first_break(records: list[AuditRecord]) -> int | None:
    """The seq of the first entry of a whole chain that was changed, is missing or out of order; None if it is sound."""
    before = ""
    for expected, record in enumerate(records, start=1):
        if record.seq != expected or record.prev != before or record.hash != record.computed_hash():
            return expected
        before = record.hash
    return None
