"""The coverage ledger: which span of time is covered by which delta link, where there is a hole, and what only a sweep found.

The ledger of a link stands in the link's own row and is written with it, so it costs nothing. A round covers whatever changed before it
began: a change on the way is told by this round or by the next. A hole is a span that no link tells about. Everybody is compared then, so
the state of today is covered; what came and went within the hole and left no trace is not.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from joinery.domain.moments import from_text, to_text
from joinery.engine.ports import Clock, Document, StateStore
from joinery.engine.rows import index_rows
from joinery.errors import LostRace

#: The shared row of troubles that are open, or that nobody was told about yet.
COVERAGE = "coverage"
#: Index of those whose change a sweep found before any notification told it: ``<day>|<partition>``, so once a day and person.
FOUND = "found-by-sweep"
#: How many spans a ledger remembers.
_SPANS = 10
#: For how long is remembered whose change a sweep found.
FOUND_KEPT = timedelta(days=7)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """What a chain of links without a gap covers: everything that changed between the two moments."""

    since: datetime
    until: datetime
    #: First digits of the hash of the latest link; the link itself is long and opaque.
    token: str
    #: How many rounds the chain has.
    rounds: int = 1
    #: Why the chain broke; empty for the one that goes on.
    broke: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hole:
    """A span that no link tells about; everybody was compared at its end."""

    since: datetime
    until: datetime
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """The spans of one link's row, oldest first."""

    spans: tuple[Span, ...] = ()
    #: When the round began that is under way; None between two rounds.
    began: datetime | None = None

    @classmethod
    def read(cls, document: Document | None) -> Ledger:
        """Out of a link's row; empty where the row is missing, or older than the ledger."""
        stored = (document or {}).get("ledger") or {}
        spans = (
            Span(
                since=from_text(row["since"]),
                until=from_text(row["until"]),
                token=row["token"],
                rounds=row["rounds"],
                broke=row["broke"],
            )
            for row in stored.get("spans", ())
        )
        return cls(spans=tuple(spans), began=from_text(stored["began"]) if stored.get("began") else None)

    def document(self) -> Document:
        """For the link's row."""
        spans = [
            {"since": to_text(one.since), "until": to_text(one.until), "token": one.token, "rounds": one.rounds, "broke": one.broke}
            for one in self.spans
        ]
        return {"spans": spans, "began": to_text(self.began) if self.began else None}

    @property
    def current(self) -> Span | None:
        """The span that goes on; None where the chain is broken, or has not begun."""
        return self.spans[-1] if self.spans and not self.spans[-1].broke else None

    @property
    def holes(self) -> tuple[Hole, ...]:
        """Between one chain and the next, oldest first."""
        pairs = zip(self.spans, self.spans[1:], strict=False)
        return tuple(Hole(since=one.until, until=after.since, why=one.broke) for one, after in pairs)

    def beginning(self, now: datetime) -> Ledger:
        """A round begins, or goes on where another process left it."""
        return self if self.began else replace(self, began=now)

    def broken(self, why: str, now: datetime) -> Ledger:
        """The link leads nowhere any more; a round that starts with everybody begins."""
        current = self.current
        spans = (*self.spans[:-1], replace(current, broke=why)) if current else self.spans
        return Ledger(spans=spans, began=now)

    def ended(self, link: str | None) -> Ledger:
        """The round is complete, and this is the link for the next one."""
        if self.began is None:
            raise AssertionError("a round ends that never began")
        token = hashlib.sha256((link or "").encode()).hexdigest()[:8]
        current = self.current
        if current is None:
            return Ledger(spans=(*self.spans, Span(since=self.began, until=self.began, token=token))[-_SPANS:])
        grown = replace(current, until=max(current.until, self.began), token=token, rounds=current.rounds + 1)
        return Ledger(spans=(*self.spans[:-1], grown))


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """A hole that is open, or that nobody was told about yet."""

    #: ``late`` (no sweep ended for too long), or the row of the link that was lost.
    what: str
    #: Up to when all was covered; None where that is not known.
    since: datetime | None
    #: When it was noticed.
    at: datetime
    told: bool = False
    covered: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TroubleBook:
    """The shared row of troubles, replaced under its etag: written when one comes, is told, and goes."""

    store: StateStore
    clock: Clock

    def read(self) -> tuple[str | None, tuple[Trouble, ...]]:
        """The row's etag, and all of them. Raises StoreUnavailable."""
        etag, stored = self.store.read_shared(COVERAGE)
        return etag, _troubles(stored)

    def lost(self, what: str, since: datetime | None) -> None:
        """The directory knows a link no more. It is one trouble until everybody was compared. Raises StoreUnavailable."""
        etag, troubles = self.read()
        known = {one.what: one for one in troubles}
        if what in known and not known[what].covered:
            return
        known[what] = Trouble(what=what, since=since, at=self.clock.now())
        self.write(known.values(), etag)

    def covered(self, what: str) -> None:
        """Everybody was compared: whoever was told need know nothing more. Raises StoreUnavailable."""
        etag, known = self.read()
        left = [replace(one, covered=True) if one.what == what else one for one in known if one.what != what or not one.told]
        if tuple(left) != known:
            self.write(left, etag)

    def write(self, troubles: Iterable[Trouble], etag: str | None) -> None:
        """Replace the row, unless somebody else just did: whoever comes next sees what is still so. Raises StoreUnavailable."""
        rows = [
            {
                "what": one.what,
                "since": to_text(one.since) if one.since else None,
                "at": to_text(one.at),
                "told": one.told,
                "covered": one.covered,
            }
            for one in troubles
        ]
        with contextlib.suppress(LostRace):
            self.store.replace_shared(COVERAGE, {"troubles": rows}, expected=etag)


def _troubles(document: Document | None) -> tuple[Trouble, ...]:
    return tuple(
        Trouble(
            what=row["what"],
            since=from_text(row["since"]) if row["since"] else None,
            at=from_text(row["at"]),
            told=row["told"],
            covered=row["covered"],
        )
        for row in (document or {}).get("troubles", ())
    )


def note_found(store: StateStore, partition: str, now: datetime) -> None:
    """A sweep found something new about somebody of whom no notification had told. Raises StoreUnavailable."""
    store.put_index(FOUND, f"{to_text(now)[:10]}|{partition}", {})


def found_by_day(store: StateStore) -> dict[str, int]:
    """Day -> about how many people a sweep was the first to tell, of the last seven days. Raises StoreUnavailable."""
    days: dict[str, int] = {}
    for row in index_rows(store, FOUND):
        day = row.name.partition("|")[0]
        days[day] = days.get(day, 0) + 1
    return days


def forget_found(store: StateStore, now: datetime) -> None:
    """Drop what is older than seven days. Raises StoreUnavailable."""
    oldest = to_text(now - FOUND_KEPT)[:10]
    for row in index_rows(store, FOUND):
        if row.name.partition("|")[0] >= oldest:
            return
        store.delete_index(FOUND, row.name)
