"""Checks every audit chain against itself, its head, its personal data and the seals outside. Reads only; work may go on meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from joinery.engine.audit import AUDIT, PERSONAL, Break, ChainWalk, SealedHead, Wrong, digest_of
from joinery.engine.envelope import ALERTS
from joinery.engine.operations import ERASED, operator_partition
from joinery.engine.partition import PERSONS
from joinery.engine.ports import Document, Row, SealLog, StateStore
from joinery.engine.rows import index_rows
from joinery.engine.seals import GREW, SEALED, SealBook, read_seals
from joinery.errors import StoreUnavailable

#: How often a chain that grows while it is read is read again.
_TRIES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a check of everything found."""

    chains: int = 0
    entries: int = 0
    #: Entries that no seal covers yet.
    unsealed: int = 0
    seals: int = 0
    #: Appends to the log of the seals that a crash cut short.
    torn_seals: int = 0
    sealed_at: datetime | None = None
    #: The root of the last seal.
    root: str = ""
    #: The first break of each chain that has one; those of the seals first.
    breaks: tuple[Break, ...] = ()

    @property
    def sound(self) -> bool:
        """Nothing was changed, is missing, reordered or truncated."""
        return not self.breaks


class AuditVerifier:
    """Looks at what is stored, through the port alone."""

    def __init__(self, store: StateStore, log: SealLog, *, tenant: str) -> None:
        self._store = store
        self._log = log
        self._tenant = tenant

    def verify(self) -> Verdict:
        """Check every chain: people, operators, and whatever else was ever sealed. Raises StoreUnavailable or SealUnavailable."""
        book = self.seals()
        erased = self._erasures()
        chains = entries = unsealed = 0
        breaks = [book.broken] if book.broken else []
        for partition in self.partitions(book):
            sealed = book.heads.get(partition, {})
            walk, found = self.check(partition, sealed, erased.get(partition, 0))
            chains += bool(walk.seq or found)
            entries += walk.seq
            unsealed += max(0, walk.seq - max(sealed, default=0))
            if found:
                breaks.append(found)
        last = book.seals[-1] if book.seals else None
        return Verdict(
            chains=chains,
            entries=entries,
            unsealed=unsealed,
            seals=len(book.seals),
            torn_seals=book.torn,
            sealed_at=last.at if last else None,
            root=last.root if last else "",
            breaks=tuple(breaks),
        )

    def seals(self) -> SealBook:
        """The log of the seals, read and checked."""
        # First what the store remembers, then the log: it may only have grown meanwhile.
        _, remembered = self._store.read_shared(SEALED)
        return read_seals(self._log.read(), remembered=remembered)

    def partitions(self, book: SealBook) -> tuple[str, ...]:
        """Every partition that has a chain or should have one."""
        names = {operator_partition(self._tenant), f"{self._tenant}|{ALERTS}", *book.heads}
        names |= {row.name for row in index_rows(self._store, PERSONS)} | {
            row.name.partition("|")[2] for row in index_rows(self._store, GREW)
        }
        return tuple(sorted(names))

    def check(self, partition: str, sealed: Mapping[int, SealedHead], erased_up_to: int) -> tuple[ChainWalk, Break | None]:
        """Walk one chain: how far it holds, and its first break. A chain that changes while it is read is read again."""
        for _ in range(_TRIES):
            head = self._head(partition)
            walk, found = self._walk(partition, head, sealed, erased_up_to)
            if found is None:
                break
            since = self._erasures().get(partition, 0)
            if self._head(partition) == head and since == erased_up_to:
                break
            erased_up_to = since
        return walk, found

    def _walk(
        self, partition: str, head: tuple[int, str] | None, sealed: Mapping[int, SealedHead], erased_up_to: int
    ) -> tuple[ChainWalk, Break | None]:
        walk = ChainWalk(partition, sealed)
        if head is None:
            return walk, walk.broken(Wrong.CHANGED, "a head", "what cannot be read")
        beside = self.beside(partition)
        try:
            for row in self.scan(partition, AUDIT):
                name = row.name.removeprefix(AUDIT)
                found = walk.take(name, row.data) or self._beside(walk, row.data, beside, erased_up_to)
                if found:
                    return walk, found
            strays = beside.strays()
        except StoreUnavailable as error:
            self.must_answer(error)
            return walk, walk.broken(Wrong.CHANGED, "a readable entry", str(error))
        found = walk.end(*head)
        if found is None and strays:
            found = _at(walk, Wrong.CHANGED, "personal data of entries alone", f"a row called {strays[0]}")
        return walk, found

    def _beside(self, walk: ChainWalk, entry: Document, beside: Beside, erased_up_to: int) -> Break | None:
        try:
            personal = beside.row(f"{walk.seq:012d}")
        except StoreUnavailable as error:
            self.must_answer(error)
            return _at(walk, Wrong.CHANGED, "readable personal data", str(error))
        return _check_personal(walk, entry, personal, erased_up_to)

    def beside(self, partition: str) -> Beside:
        """The personal rows, to be asked for in the order of the entries."""
        return Beside(partition, self)

    def scan(self, partition: str, prefix: str) -> Iterator[Row]:
        """All rows with a prefix, up to one that cannot be read. Raises StoreUnavailable there."""
        after = ""
        while True:
            try:
                rows = self._store.scan(partition, prefix, after=after)
            except StoreUnavailable as error:
                # One row that cannot be read must not hide those before it.
                self.must_answer(error)
                rows = self._store.scan(partition, prefix, after=after, limit=1)
            if not rows:
                return
            yield from rows
            after = rows[-1].name

    def _head(self, partition: str) -> tuple[int, str] | None:
        try:
            head = self._store.read(partition).head or {}
        except StoreUnavailable as error:
            self.must_answer(error)
            return None
        return head.get("audit_seq", 0), head.get("audit_hash", "")

    def must_answer(self, error: StoreUnavailable) -> None:
        """Tell a row that cannot be read from a store that does not answer. Raises StoreUnavailable for the latter."""
        try:
            self._store.read_shared(SEALED)
        except StoreUnavailable:
            raise error from None

    def _erasures(self) -> dict[str, int]:
        """Partition -> up to which entry its personal data were erased, as the operators' audit tells."""
        erased: dict[str, int] = {}
        try:
            for row in self.scan(operator_partition(self._tenant), AUDIT):
                detail = row.data.get("detail", {})
                if row.data.get("action") == ERASED and isinstance(detail, dict):
                    partition = str(detail.get("partition"))
                    erased[partition] = max(erased.get(partition, 0), int(detail.get("up_to", 0)))
        except (StoreUnavailable, TypeError, ValueError) as error:
            # The walk over this chain will name the entry.
            if isinstance(error, StoreUnavailable):
                self.must_answer(error)
        return erased


def _check_personal(walk: ChainWalk, entry: Document, personal: Document | None, erased_up_to: int) -> Break | None:
    """Whether the personal data beside an entry are those it was written over. What was erased may be gone."""
    digest, seq = entry.get("digest"), walk.seq
    if personal is None:
        if digest and seq > erased_up_to:
            return _at(walk, Wrong.MISSING, "its personal data, which nobody erased", "none")
        return None
    if not digest:
        return _at(walk, Wrong.CHANGED, "no personal data", "some")
    try:
        fits = set(personal) == {"salt", "data"} and digest_of(personal["salt"], personal["data"]) == digest
    except (TypeError, AttributeError):
        fits = False
    return None if fits else _at(walk, Wrong.CHANGED, f"personal data that give {str(digest)[:12]}", "others")


def _at(walk: ChainWalk, wrong: Wrong, expected: str, found: str) -> Break:
    return Break(partition=walk.partition, seq=walk.seq, wrong=wrong, expected=expected, found=found)


class Beside:
    """The personal rows of a partition, handed out as the walk over its entries passes them."""

    def __init__(self, partition: str, verifier: AuditVerifier) -> None:
        self._partition = partition
        self._verifier = verifier
        self._rows: Iterator[Row] | None = verifier.scan(partition, PERSONAL)
        self._next: Row | None = None
        self._strays: list[str] = []
        self._go_on()

    def row(self, name: str) -> Document | None:
        """What lies beside the entry of this name. Raises StoreUnavailable where it cannot be read."""
        while self._next is not None and self._next.name.removeprefix(PERSONAL) < name:
            self._strays.append(self._next.name)
            self._go_on()
        if self._next is not None and self._next.name.removeprefix(PERSONAL) == name:
            data = self._next.data
            self._go_on()
            return data
        if self._rows is None:
            return next((row.data for row in self._verifier.scan(self._partition, f"{PERSONAL}{name}")), None)
        return None

    def strays(self) -> list[str]:
        """Names of the rows beside which no entry stands, once the walk is over."""
        while self._next is not None:
            self._strays.append(self._next.name)
            self._go_on()
        return self._strays

    def _go_on(self) -> None:
        try:
            self._next = next(self._rows, None) if self._rows is not None else None
        except StoreUnavailable as error:
            # A row that cannot be read: from here on each is asked for by its name, so that the walk finds out whose it is.
            self._verifier.must_answer(error)
            self._rows = self._next = None
