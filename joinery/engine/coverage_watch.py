"""Who looks after the coverage: the tick alerts where a sweep is late or a link was lost, and anybody may ask how it stands."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from joinery.domain.moments import from_text, to_text
from joinery.engine.coverage import Hole, Ledger, Span, Trouble, TroubleBook, found_by_day
from joinery.engine.envelope import ALERTS, Envelope, EnvelopeKind
from joinery.engine.groups import WATCHED
from joinery.engine.ports import Clock, MessageQueue, Outgoing, StateStore
from joinery.engine.sweeps import STARTED, SWEPT, WATCHING, link_rows

_log = logging.getLogger(__name__)

#: Sweeps come every five minutes: three in a row that did not end are worth a person's look.
LATE_AFTER = timedelta(minutes=15)
#: The first one reads everybody.
FIRST_TAKES = timedelta(hours=1)
#: The trouble of a sweep that does not end.
LATE = "late"


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverageWatch:
    """Alerts once for each hole."""

    tenant: str
    store: StateStore
    queue: MessageQueue
    clock: Clock

    def watch(self) -> None:
        """Note a sweep that is late, tell of it where the next tick finds it still so, and tell of every link that was lost.

        Raises StoreUnavailable, QueueUnavailable.
        """
        book = TroubleBook(store=self.store, clock=self.clock)
        etag, known = book.read()
        late_since = self._late_since()
        now = self.clock.now()
        followed = _followed(self.store) if known else []
        after: list[Trouble] = []
        for one in known:
            if one.what == LATE and late_since != one.since:
                # A sweep has ended. Whoever was told sees it in health; nobody else need know.
                continue
            if not one.told:
                self._tell(one)
                one = replace(one, told=True)
            # Of groups that policy watches no more nothing is missed.
            if not one.covered and (one.what == LATE or one.what in followed):
                after.append(one)
        if late_since is not None and not any(one.what == LATE for one in after):
            # A machine that was asleep ticks before it sweeps: told only if the next tick finds it still so.
            after.append(Trouble(what=LATE, since=late_since, at=now))
        if tuple(after) != known:
            book.write(after, etag)

    def _late_since(self) -> datetime | None:
        """Since when no sweep ended, if that is too long ago."""
        now = self.clock.now()
        swept = self.store.read_shared(SWEPT)[1]
        if swept is not None and now - from_text(swept["at"]) <= LATE_AFTER:
            return None
        watching = self.store.read_shared(WATCHING)[1]
        if watching is None:
            # Nobody has begun.
            return None
        latest = FIRST_TAKES if swept is None else LATE_AFTER
        since = from_text((swept or watching)["at"])
        started = self.store.read_shared(STARTED)[1]
        # Nobody was there to sweep before the start.
        waited_from = max(since, from_text(started["at"])) if started else since
        return since if now - waited_from > latest else None

    def _tell(self, trouble: Trouble) -> None:
        since = f"since {to_text(trouble.since)[:19]}Z" if trouble.since else "for a time that is not known"
        cause = (
            f"no sweep of the directory has ended {since}: what no notification tells is not seen; the log says what stops it"
            if trouble.what == LATE
            else f"the directory knows the delta link {trouble.what} no more: what changed {since} is found by comparing everybody, and what "
            "came and went meanwhile is not"
        )
        envelope = Envelope(
            tenant=self.tenant, subject=ALERTS, kind=EnvelopeKind.ALERT, cause=cause, at=trouble.at, about=f"coverage#{trouble.what}"
        )
        _log.error("alert", extra={"action": "alert", "about": envelope.about})
        self.queue.send([Outgoing(body=envelope.encode(), session_id=envelope.session_id)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """How it stands."""

    swept_at: datetime | None
    #: Row of a link -> its ledger.
    ledgers: dict[str, Ledger]
    troubles: tuple[Trouble, ...]
    #: Day -> of how many people a sweep was the first to tell.
    found: dict[str, int]

    @property
    def spans(self) -> dict[str, Span | None]:
        """Row of a link -> the span that goes on."""
        return {row: ledger.current for row, ledger in self.ledgers.items()}

    @property
    def holes(self) -> dict[str, tuple[Hole, ...]]:
        """Row of a link -> its holes, oldest first."""
        return {row: ledger.holes for row, ledger in self.ledgers.items()}

    @property
    def open_troubles(self) -> tuple[Trouble, ...]:
        """Those that no comparison has covered yet."""
        return tuple(one for one in self.troubles if not one.covered)


def _followed(store: StateStore) -> list[str]:
    """Rows of the links in use. Where fewer groups are followed than before, others are left behind."""
    watched = store.read_shared(WATCHED)[1] or {}
    return link_rows(len(watched.get("ids", {})), len(watched.get("inner", {})))


def coverage(store: StateStore, clock: Clock) -> Coverage:
    """Read it all. Raises StoreUnavailable."""
    stored = {row: store.read_shared(row)[1] for row in _followed(store)}
    swept = store.read_shared(SWEPT)[1]
    return Coverage(
        swept_at=from_text(swept["at"]) if swept else None,
        ledgers={row: Ledger.read(document) for row, document in stored.items() if document is not None},
        troubles=TroubleBook(store=store, clock=clock).read()[1],
        found=found_by_day(store),
    )
