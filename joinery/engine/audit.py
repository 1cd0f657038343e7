"""The audit chain: every entry carries the hash of the one before it, over a salted digest of the personal data.

The personal data lies in a row of its own, so that it can be erased without breaking the chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from joinery.domain.moments import from_text, to_text
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

    def document(self) -> Document:
        """As it is stored, exported and hashed: moments in our one text form."""
        return {**codec.to_document(self), "at": to_text(self.at)}


def chain(record: AuditRecord, *, after: str, personal: Document | None, salt: str) -> tuple[AuditRecord, tuple[Row, ...]]:
    """Link a record to the hash before it; returns it with its hash, and the rows to write in the same commit."""
    linked = replace(record, digest=digest_of(salt, personal) if personal else "", prev=after)
    linked = replace(linked, hash=hash_of(linked.document()))
    rows = [Row(name=f"{AUDIT}{linked.seq:012d}", data=linked.document())]
    if personal:
        rows.append(Row(name=f"{PERSONAL}{linked.seq:012d}", data={"salt": salt, "data": personal}))
    return linked, tuple(rows)


def read_record(row: Row) -> AuditRecord:
    """An entry from its row."""
    return codec.from_document(row.data, AuditRecord)


def hash_of(document: Document) -> str:
    """SHA-256 over everything in an entry but its hash, as canonical JSON; so whatever a later release adds is covered too.

    Raises:
        ValueError: its moment is none, or is written in another form than ours.
    """
    moment = from_text(str(document.get("at")))
    # Entries of the first release have the shorter form in their row, and this one in their hash.
    if document["at"] not in (to_text(moment), moment.isoformat().replace("+00:00", "Z")):
        raise ValueError(f"{document['at']!r} is not how an entry writes its moment")
    hashed = {name: value for name, value in document.items() if name != "hash"}
    return hashlib.sha256(codec.to_bytes({**hashed, "at": to_text(moment)})).hexdigest()


def digest_of(salt: str, personal: Document) -> str:
    """What an entry says about its personal data: it proves them while they are there, and tells nothing once the salt is gone."""
    return hashlib.sha256(salt.encode() + codec.to_bytes(personal)).hexdigest()


# --- checking ---


class Wrong(StrEnum):
    """What can be wrong with an entry."""

    CHANGED = "changed"
    MISSING = "missing"
    REORDERED = "reordered"
    #: This entry and all after it are gone.
    TRUNCATED = "truncated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Break:
    """The first place at which a chain does not hold: which entry, how, what had to be there and what is."""

    partition: str
    seq: int
    wrong: Wrong
    expected: str
    found: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedHead:
    """How far a chain was, and its hash there, when seal ``number`` was written outside."""

    seq: int
    hash: str
    number: int


class ChainWalk:
    """Follows one stored chain, oldest entry first, and names the first that does not fit."""

    def __init__(self, partition: str = "", sealed: Mapping[int, SealedHead] | None = None) -> None:
        self.partition = partition
        self._sealed = sealed or {}
        self._agreed = 0
        #: The last entry that fitted.
        self.seq = 0
        self.hash = ""

    def take(self, name: str, document: Document) -> Break | None:
        """The entry in the row ``name`` (the part behind the prefix); None if it continues the chain."""
        expected = self.seq + 1
        if name != f"{expected:012d}":
            if name.isascii() and name.isdigit() and len(name) == 12 and int(name) > expected:
                return self.broken(Wrong.MISSING, f"an entry after {_short(self.hash)}", f"the next one is {int(name)}")
            return self.broken(Wrong.CHANGED, f"row {expected:012d}", f"a row called {name}, which no entry has")
        try:
            computed = hash_of(document)
        except ValueError as error:
            return self.broken(Wrong.CHANGED, "a readable entry", str(error))
        stored = str(document.get("hash"))
        if computed != stored:
            return self.broken(Wrong.CHANGED, f"the hash {_short(stored)} that it carries", f"its content gives {_short(computed)}")
        if document.get("seq") != expected:
            return self.broken(Wrong.REORDERED, f"entry {expected}", f"entry {document.get('seq')} stands in its place")
        if document.get("prev") != self.hash:
            return self.broken(Wrong.CHANGED, f"an entry after {_short(self.hash)}", f"one after {_short(str(document.get('prev')))}")
        seal = self._sealed.get(expected)
        if seal is not None and seal.hash != stored:
            first = self._agreed + 1
            place = f"entry {expected} was" if first == expected else f"entries {first} to {expected} were, in part or whole,"
            return self.broken(Wrong.CHANGED, f"{_short(seal.hash)}, says seal {seal.number}", f"{_short(stored)}: {place} written anew")
        if seal is not None:
            self._agreed = expected
        self.seq, self.hash = expected, stored
        return None

    def end(self, head_seq: int, head_hash: str) -> Break | None:
        """There is no further entry: what the head and the seals say about the end."""
        if head_seq > self.seq:
            return self.broken(Wrong.TRUNCATED, f"{head_seq} entries, says the head", f"{self.seq}")
        last = max(self._sealed.values(), key=lambda seal: seal.seq, default=None)
        if last is not None and last.seq > self.seq:
            return self.broken(Wrong.TRUNCATED, f"{last.seq} entries or more, says seal {last.number}", f"{self.seq}")
        if (head_seq, head_hash) != (self.seq, self.hash):
            at_head = f"{_short(head_hash)} after {head_seq} entries, says the head"
            return Break(
                partition=self.partition,
                seq=self.seq,
                wrong=Wrong.CHANGED,
                expected=at_head,
                found=f"{_short(self.hash)} after {self.seq}",
            )
        return None

    def broken(self, wrong: Wrong, expected: str, found: str) -> Break:
        """A break at the entry that is next."""
        return Break(partition=self.partition, seq=self.seq + 1, wrong=wrong, expected=expected, found=found)


def first_break(records: Iterable[AuditRecord]) -> Break | None:
    """The first place at which a whole chain in hand does not hold; None if it is sound. Only its head knows whether the end is there."""
    chained = list(records)
    seqs = {record.seq for record in chained}
    walk = ChainWalk()
    for record in chained:
        # A list has no row names: the place counts where the number is elsewhere in it.
        name = walk.seq + 1 if walk.seq + 1 in seqs else record.seq
        if found := walk.take(f"{name:012d}", record.document()):
            return found
    return None


def _short(digest: str) -> str:
    return digest[:12] if digest else "(the beginning)"
