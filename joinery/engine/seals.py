"""The seal outside: every few minutes the heads of all audit chains that grew are written where the store's writer cannot rewrite them.

A seal is one line of JSON. It lists the heads that changed since the seal before and carries its root: the SHA-256 over
itself with the root before in it. So the last root stands for every head that was ever sealed, and 64 digits on paper prove
them all. Which chains grew is told by index rows that are written before the commit, one for each chain and quarter of an hour.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from joinery.domain.moments import from_text, to_text
from joinery.engine import codec
from joinery.engine.audit import Break, SealedHead, Wrong
from joinery.engine.ports import Clock, Document, Row, SealLog, StateStore
from joinery.engine.rows import index_rows
from joinery.errors import LostRace, SealUnavailable

#: The index of chains that grew, and the shared row that remembers the last seal.
GREW, SEALED = "chains-grown", "sealed"
#: How often the heads are sealed unless a setting says otherwise.
SEAL_EVERY = timedelta(minutes=15)
#: What a break in the seals themselves names as its partition.
SEALS = "seals"

#: A chain is marked once in each period.
_PERIOD = timedelta(minutes=15)
#: A mark this much older than its period is not waiting for its commit any more.
_DANGLING = timedelta(minutes=10)
#: About 400 kB a line: far below what one append to any log may hold.
_HEADS_PER_SEAL = 2_000
#: More than two lines: the last whole one is always in it, were the very last torn.
_TAIL = 4 * 1024 * 1024
#: How every seal begins.
_OPENING = b'{"at":"'


def mark(partition: str, now: datetime) -> str:
    """The key of the index row for a chain that grows now."""
    return f"{to_text(datetime.fromtimestamp(now.timestamp() // _PERIOD.total_seconds() * _PERIOD.total_seconds(), UTC))}|{partition}"


def is_stale(key: str, now: datetime) -> bool:
    """Whether a sealer may have dropped this mark already."""
    return from_text(key.partition("|")[0]) + _PERIOD + _DANGLING <= now


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """One line of the log."""

    number: int
    at: datetime
    #: Partition -> (seq, hash) of its last entry.
    heads: Mapping[str, tuple[int, str]]
    #: Root of the seal before.
    prev: str
    root: str = ""

    def document(self) -> Document:
        """As it is written, but for the root."""
        heads = {partition: {"seq": seq, "hash": hashed} for partition, (seq, hashed) in self.heads.items()}
        return {"seal": self.number, "at": to_text(self.at), "heads": heads, "prev": self.prev}

    def line(self) -> bytes:
        """With its root and the end of the line."""
        document = self.document()
        return codec.to_bytes({**document, "root": _root(document)}) + b"\n"


def _root(document: Document) -> str:
    return hashlib.sha256(codec.to_bytes(document)).hexdigest()


def _read_seal(piece: bytes) -> Seal | None:
    """The seal in a line; None unless all of it is there, exactly as it was written."""
    try:
        document = json.loads(piece)
        heads = {partition: (int(head["seq"]), str(head["hash"])) for partition, head in document["heads"].items()}
        number, at, root = int(document["seal"]), from_text(document["at"]), str(document["root"])
        seal = Seal(number=number, at=at, heads=heads, prev=str(document["prev"]), root=root)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return seal if seal.line() == piece + b"\n" else None


@dataclass(frozen=True, kw_only=True, slots=True)
class SealBook:
    """What the log says: all seals, and the first that does not follow from the one before."""

    seals: tuple[Seal, ...] = ()
    broken: Break | None = None
    #: Appends that a crash cut short; what they held was sealed again.
    torn: int = 0
    #: Partition -> seq -> the head that was sealed.
    heads: Mapping[str, Mapping[int, SealedHead]] = field(default_factory=dict)


def read_seals(data: bytes, *, remembered: Document | None = None) -> SealBook:
    """Read a whole log; ``remembered`` is the shared row of the store, which knows how many seals there must be."""
    seals: list[Seal] = []
    torn, cut = 0, False
    for piece in data.split(b"\n"):
        if not piece:
            continue
        seal = _read_seal(piece)
        if seal is None:
            # Cut off by a crash, or changed: the next whole line tells, for it follows the last that was there.
            torn, cut = torn + 1, True
            continue
        prev = seals[-1].root if seals else ""
        if seal.number != len(seals) + 1 or seal.prev != prev:
            return _book(seals, torn, _seal_break(seals, seal, cut=cut))
        seals.append(seal)
        cut = False
    if remembered is not None and remembered.get("seal", 0) > len(seals):
        wrong = Wrong.CHANGED if cut else Wrong.TRUNCATED
        return _book(seals, torn, _broken(seals, wrong, f"{remembered['seal']} seals, says the store", f"{len(seals)}"))
    return _book(seals, torn, None)


def _seal_break(seals: list[Seal], seal: Seal, *, cut: bool) -> Break:
    expected = f"seal {len(seals) + 1} after {seals[-1].root[:12] if seals else '(the beginning)'}"
    if seal.number > len(seals) + 1:
        return _broken(seals, Wrong.CHANGED if cut else Wrong.MISSING, expected, f"the next whole one is seal {seal.number}")
    if seal.number <= len(seals):
        return _broken(seals, Wrong.REORDERED, expected, f"seal {seal.number}")
    return _broken(seals, Wrong.CHANGED, expected, f"one after {seal.prev[:12]}")


def _broken(seals: list[Seal], wrong: Wrong, expected: str, found: str) -> Break:
    return Break(partition=SEALS, seq=len(seals) + 1, wrong=wrong, expected=expected, found=found)


def _book(seals: list[Seal], torn: int, broken: Break | None) -> SealBook:
    heads: dict[str, dict[int, SealedHead]] = {}
    for seal in seals:
        for partition, (seq, hashed) in seal.heads.items():
            # The first seal of a head counts: a later one may have been written after the fact.
            heads.setdefault(partition, {}).setdefault(seq, SealedHead(seq=seq, hash=hashed, number=seal.number))
    return SealBook(seals=tuple(seals), broken=broken, torn=torn, heads=heads)


class Sealer:
    """Writes the seals. Several workers may try at once: one of them does it."""

    def __init__(self, store: StateStore, log: SealLog, *, clock: Clock, every: timedelta = SEAL_EVERY) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._every = every

    def seal_if_due(self) -> int:
        """Seal if the last time is long enough ago; returns how many heads. Raises StoreUnavailable or SealUnavailable."""
        _, row = self._store.read_shared(SEALED)
        if row is not None and self._clock.now() - from_text(row["at"]) < self._every:
            return 0
        return self.seal()

    def seal(self) -> int:
        """Seal every head that changed since the last time; returns how many. A repeat after a crash is harmless."""
        now = self._clock.now()
        etag, row = self._store.read_shared(SEALED)
        marks = list(index_rows(self._store, GREW))
        before = _sealed_before(marks)
        heads = {partition: head for partition, upto in before.items() if (head := self._head(partition))[0] not in (0, upto)}
        number, root = int((row or {}).get("seal", 0)), str((row or {}).get("root", ""))
        with contextlib.suppress(LostRace):
            if heads:
                number, root = self._append(heads, now, number, root)
            self._store.replace_shared(SEALED, {"at": to_text(now), "seal": number, "root": root}, expected=etag)
            self._settle(marks, {**before, **{partition: seq for partition, (seq, _) in heads.items()}}, now)
            return len(heads)
        # Another worker sealed in the same moment; what it did not see is still marked.
        return 0

    def _head(self, partition: str) -> tuple[int, str]:
        head = self._store.read(partition).head or {}
        return head.get("audit_seq", 0), head.get("audit_hash", "")

    def _append(self, heads: Mapping[str, tuple[int, str]], now: datetime, number: int, root: str) -> tuple[int, str]:
        """Add lines behind the last whole one; returns the number and the root of the last."""
        size = self._log.size()
        tail = self._log.read(max(0, size - _TAIL))
        last = next((seal for piece in reversed(tail.split(b"\n")) if (seal := _read_seal(piece))), None)
        if last is None and not _OPENING.startswith(tail[: len(_OPENING)]):
            # Somebody else's file must not grow by our lines.
            raise SealUnavailable("the log of the seals holds something else")
        if last is not None and last.number >= number:
            number, root = last.number, last.root
        # Where the log has fewer seals than the store remembers, the numbers go on: the gap stays to be seen.
        data = b"" if not tail or tail.endswith(b"\n") else b"\n"
        names = sorted(heads)
        for start in range(0, len(names), _HEADS_PER_SEAL):
            chunk = {partition: heads[partition] for partition in names[start : start + _HEADS_PER_SEAL]}
            number += 1
            seal = Seal(number=number, at=now, heads=chunk, prev=root)
            root = _root(seal.document())
            data += seal.line()
            self._log.append(data, at=size)
            size, data = size + len(data), b""
        return number, root

    def _settle(self, marks: Iterable[Row], sealed: Mapping[str, int], now: datetime) -> None:
        for row in marks:
            seq = sealed[row.name.partition("|")[2]]
            if is_stale(row.name, now):
                self._store.delete_index(GREW, row.name)
            elif row.data.get("sealed", 0) != seq:
                # The chain may grow again without a new mark, so it is looked at again; this says what it needs not repeat.
                self._store.put_index(GREW, row.name, {"sealed": seq})


def _sealed_before(marks: Iterable[Row]) -> dict[str, int]:
    """Marked partition -> up to which entry it was sealed, as far as the marks know."""
    sealed: dict[str, int] = {}
    for row in marks:
        partition = row.name.partition("|")[2]
        sealed[partition] = max(sealed.get(partition, 0), row.data.get("sealed", 0))
    return sealed
