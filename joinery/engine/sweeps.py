"""The sweep: what no notification told, a delta query tells. Looks are sent and acknowledged, then the link is stored."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from joinery.domain.moments import from_text, to_text
from joinery.engine.breaker import HELD
from joinery.engine.coverage import Ledger, TroubleBook, forget_found
from joinery.engine.envelope import Envelope, EnvelopeKind, group_subject, person_subject
from joinery.engine.groups import GroupBook
from joinery.engine.partition import OPEN_RUNS, PERSONS
from joinery.engine.ports import Clock, DeltaPage, Directory, Document, LinkExpired, MessageQueue, Outgoing, StateStore
from joinery.engine.rows import index_rows
from joinery.errors import LostRace, TryLater

#: What envelopes of a sweep name as their cause.
SWEEP = "sweep"
#: Index of looks that were given up, and the cause of those that are sent in their stead.
OWED = "owed"
#: Shared rows.
PEOPLE_LINK, GROUPS_LINK, INNER_LINK, SWEPT = "delta-people", "delta-groups", "delta-inner", "swept"
#: The shared row that says when the local host started; it sweeps then.
STARTED = "started"
#: The shared row that says since when we watch.
WATCHING = "watching"
#: The shared row that says when the watched groups were last compared as a whole, and how often that is done: nobody tells when somebody
#: enters a group that lies inside a watched one.
COMPARED, COMPARE_EVERY = "groups-compared", timedelta(days=1)
#: An index row this old is not waiting for its commit any more.
_DANGLING = timedelta(minutes=10)
#: The directory's limit for groups in one delta filter.
GROUPS_PER_LINK = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepReport:
    """What one sweep saw."""

    people: int
    groups: int
    pages: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweeper:
    """Compares the directory with what we have been told."""

    tenant: str
    store: StateStore
    queue: MessageQueue
    directory: Directory
    groups: GroupBook
    clock: Clock

    def sweep(self) -> SweepReport:
        """One round over people and watched groups. Raises TryLater, Refused, QueueUnavailable, StoreUnavailable; a repeat is harmless."""
        self.groups.refresh()
        watch(self.store, self.clock)
        people, pages = self._follow(PEOPLE_LINK, self.directory.people_delta, resync=True)
        watched = sorted(self.groups.ids().values())
        in_groups = 0
        # What lies inside changes more often than policy; apart, such a change lists nobody anew who is directly in a watched group.
        for row, groups in ((GROUPS_LINK, watched), (INNER_LINK, list(self.groups.inner()))):
            for number, chunk in enumerate(_chunks(groups)):

                def groups_delta(link: str | None, chunk: list[str] = chunk) -> DeltaPage:
                    return self.directory.groups_delta(chunk, link)

                # Another set of groups needs another token: the old one would not know the new group.
                seen, more = self._follow(f"{row}-{number}", groups_delta, about=chunk)
                in_groups, pages = in_groups + seen, pages + more
        self._compare_if_due(watched)
        self._pay()
        self._mark_swept()
        self.tidy()
        return SweepReport(people=people, groups=in_groups, pages=pages)

    def _follow(
        self, row: str, delta: Callable[[str | None], DeltaPage], *, about: list[str] | None = None, resync: bool = False
    ) -> tuple[int, int]:
        etag, stored = self.store.read_shared(row)
        link = stored["link"] if stored and stored.get("about") == about else None
        ledger, anew = Ledger.read(stored), link is None
        if link is not None:
            ledger = ledger.beginning(self.clock.now())
        else:
            why = "the watched groups changed" if stored and stored["link"] else "the bookmark was dropped, as after a restore"
            ledger = ledger.broken(why, self.clock.now())
        # What a full resync did not touch is gone without a trace: those people get a look too.
        untouched = self._known_people() if resync and stored and link is None else None
        seen = pages = restarts = 0
        if about is not None and stored and link is None:
            self._compare(about)
        while True:
            try:
                page = delta(link)
            except LinkExpired:
                if link is None or restarts:
                    # A link that is too old the moment it was given would keep us here for ever.
                    raise TryLater("the directory's links expire as soon as it gives them") from None
                restarts += 1
                self._lose(row, ledger)
                ledger, anew = ledger.broken("the directory knew the link no more", self.clock.now()), True
                link, untouched = None, self._known_people() if resync else None
                if about is not None:
                    self._compare(about)
                continue
            pages += 1
            seen += len(page.person_ids) + len(page.group_ids)
            self._send(EnvelopeKind.LOOK, (person_subject(identity) for identity in page.person_ids))
            self._send(EnvelopeKind.LOOK_GROUP, (group_subject(identity) for identity in page.group_ids))
            if untouched is not None:
                untouched -= {person_subject(identity) for identity in page.person_ids}
            link = page.delta_link or page.next_link
            if page.delta_link and untouched:
                self._send(EnvelopeKind.LOOK, sorted(untouched))
            # Mid-resync the link is not stored: a crash must begin the comparison anew.
            if page.delta_link or untouched is None:
                ledger = ledger.ended(link) if page.delta_link or link is None else ledger
                document: Document = {"link": link, "about": about, "ledger": ledger.document()}
                try:
                    etag = self.store.replace_shared(row, document, expected=etag)
                except LostRace:
                    # Another sweep is ahead of us on the same link; it sends what we would.
                    return seen, pages
            if page.delta_link or link is None:
                if anew:
                    self.troubles.covered(row)
                return seen, pages

    def _lose(self, row: str, ledger: Ledger) -> None:
        current = ledger.current
        self.troubles.lost(row, current.until if current else None)

    def _send(self, kind: EnvelopeKind, subjects: Iterable[str], *, cause: str = SWEEP) -> None:
        now = self.clock.now()
        envelopes = [Envelope(tenant=self.tenant, subject=subject, kind=kind, cause=cause, at=now) for subject in dict.fromkeys(subjects)]
        if envelopes:
            self.queue.send(Outgoing(body=envelope.encode(), session_id=envelope.session_id) for envelope in envelopes)

    def _compare(self, groups: list[str]) -> None:
        """A delta that starts anew tells who is in a group, not who was: those are compared with what we stored."""
        self._send(EnvelopeKind.LOOK_GROUP, (group_subject(group) for group in groups))

    def _compare_if_due(self, groups: list[str]) -> None:
        etag, stored = self.store.read_shared(COMPARED)
        now = self.clock.now()
        if stored is not None:
            if now - from_text(stored["at"]) < COMPARE_EVERY:
                return
            self._compare(groups)
        # The first sweep has listed everybody anyway.
        with contextlib.suppress(LostRace):
            self.store.replace_shared(COMPARED, {"at": to_text(now)}, expected=etag)

    def _pay(self) -> None:
        """The directory answers: look at everybody whose look was given up while it refused, or while we were at fault."""
        owed = [row.name for row in index_rows(self.store, OWED, prefix=f"{self.tenant}|")]
        subjects = [name.partition("|")[2] for name in owed]
        self._send(EnvelopeKind.LOOK, (one for one in subjects if one.startswith("person:")), cause=OWED)
        self._send(EnvelopeKind.LOOK_GROUP, (one for one in subjects if one.startswith("group:")), cause=OWED)
        for name in owed:
            self.store.delete_index(OWED, name)

    def _known_people(self) -> set[str]:
        return {row.name.partition("|")[2] for row in index_rows(self.store, PERSONS, prefix=f"{self.tenant}|")}

    def tidy(self, *, older_than: timedelta = _DANGLING) -> None:
        """Drop index rows of open runs and of held changes whose commit never came, or whose removal was lost with a crash after the end."""
        old = to_text(self.clock.now() - older_than)
        for row in index_rows(self.store, OPEN_RUNS):
            partition, _, seq = row.name.rpartition("|")
            if row.data.get("at", "") < old and not self.store.scan(partition, f"run.{seq}", limit=1):
                self.store.delete_index(OPEN_RUNS, row.name)
        for row in index_rows(self.store, HELD):
            # Whoever stood still between the row and the commit has long lost the race.
            if row.data.get("at", "") < old and not (self.store.read(row.name).head or {}).get("held"):
                self.store.delete_index(HELD, row.name)
        forget_found(self.store, self.clock.now())

    @property
    def troubles(self) -> TroubleBook:
        """What is wrong with the coverage."""
        return TroubleBook(store=self.store, clock=self.clock)

    def _mark_swept(self) -> None:
        etag, _ = self.store.read_shared(SWEPT)
        # Another sweep may end in the same moment and say the same.
        with contextlib.suppress(LostRace):
            self.store.replace_shared(SWEPT, {"at": to_text(self.clock.now())}, expected=etag)


def owe(store: StateStore, envelope: Envelope) -> None:
    """A look was given up: the link that told of it is past it, so no sweep would find it again. Raises StoreUnavailable."""
    if envelope.kind in (EnvelopeKind.LOOK, EnvelopeKind.LOOK_GROUP):
        store.put_index(OWED, envelope.session_id, {})


def _chunks(groups: list[str]) -> Iterable[list[str]]:
    return (groups[start : start + GROUPS_PER_LINK] for start in range(0, len(groups), GROUPS_PER_LINK))


def link_rows(groups: int, inner: int) -> list[str]:
    """Rows of the links that follow so many watched groups, and so many inside them."""
    counts = ((GROUPS_LINK, groups), (INNER_LINK, inner))
    return [PEOPLE_LINK, *(f"{row}-{number}" for row, count in counts for number in range(-(-count // GROUPS_PER_LINK)))]


def watch(store: StateStore, clock: Clock) -> None:
    """From now on, unless we watch already: whoever is made later was not there before us. Raises StoreUnavailable."""
    if store.read_shared(WATCHING)[0] is None:
        # Another worker may begin in the same moment.
        with contextlib.suppress(LostRace):
            store.replace_shared(WATCHING, {"at": to_text(clock.now())}, expected=None)


def watched_since(store: StateStore) -> datetime | None:
    """Since when we watch; None before the first sweep and the first baseline. Raises StoreUnavailable."""
    document = store.read_shared(WATCHING)[1]
    return from_text(document["at"]) if document else None
