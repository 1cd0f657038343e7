"""How an answer finds whoever waits for it: by the desk's own hint, by a poll that costs one list however many are open, or by news of people.

Whatever comes in only makes the waiting partition look. What counts is what it then reads on the ticket.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from joinery.domain.moments import from_text, to_text
from joinery.engine.envelope import Envelope, EnvelopeKind
from joinery.engine.partition import APPROVALS, ENDED, STILL_ASKED
from joinery.engine.ports import Clock, MessageQueue, Outgoing, Row, ServiceDesk, StateStore
from joinery.engine.rows import index_row, index_rows
from joinery.errors import LostRace, Refused, StoreUnavailable, TryLater

_log = logging.getLogger(__name__)

#: The causes of an envelope: the desk no longer lists the ticket among those that wait; it told of it; whoever is asked is gone.
MOVED_ON, TOLD, GONE = "approval poll", "desk event", "approver gone"
#: Ticket id -> when the poll last told that it is not listed; beside the row of the question, which is not the poll's to write.
TOLD_ALREADY = "approvals-told"
#: The shared row that says when somebody last polled.
POLLED = "approvals-polled"
#: A ticket that was moved on without an answer is looked at this often; its answer may still come.
_AGAIN = timedelta(hours=1)
#: How long a ticket is watched whose question has ended, and which nobody closes.
_WATCHED = timedelta(days=7)


class AnswerPost:
    """Sends ``answer`` envelopes to whoever waits for an approval."""

    def __init__(self, *, store: StateStore, queue: MessageQueue, desk: ServiceDesk, clock: Clock, every: timedelta) -> None:
        self._store = store
        self._queue = queue
        self._desk = desk
        self._clock = clock
        self._every = every

    def hint(self, ticket_ids: Iterable[str]) -> int:
        """The desk says that something happened to these tickets; returns how many of them somebody waits for, or waited.

        Raises StoreUnavailable or QueueUnavailable.
        """
        named = frozenset(ticket_ids)
        rows = [row for row in self._open() if row.name in named] if named else []
        rows += [row for one in sorted(named - {row.name for row in rows}) if (row := self._ended(one)) is not None]
        self._send(rows, TOLD)
        return len(rows)

    def poll(self) -> int:
        """Ask the desk once which tickets still wait; returns how many envelopes that made. No call where nobody could answer.

        Raises TryLater or Refused from the desk, StoreUnavailable, QueueUnavailable.
        """
        rows = self._answerable()
        if not rows:
            return 0
        waiting, now = self._desk.awaiting(), self._clock.now()
        told = {row.name: from_text(row.data["at"]) for row in index_rows(self._store, TOLD_ALREADY)}
        moved_on = [row for row in rows if row.name not in waiting and _is_news(row, told.get(row.name), now)]
        self._send(moved_on, MOVED_ON)
        for row in moved_on:
            self._store.put_index(TOLD_ALREADY, row.name, {"at": to_text(now)})
        for ticket in told.keys() - {row.name for row in rows if row.name not in waiting}:
            self._store.delete_index(TOLD_ALREADY, ticket)
        return len(moved_on)

    def poll_if_due(self) -> int:
        """``poll``, if nobody did for as long as it takes from one poll to the next; a desk in trouble is asked again at the next time."""
        if not any(self._store.list_index(index, limit=1) for index in (APPROVALS, STILL_ASKED)):
            return 0
        etag, last = self._store.read_shared(POLLED)
        # A tick that is a moment early must not skip a whole turn.
        if last is not None and self._clock.now() - from_text(last["at"]) < self._every - timedelta(seconds=30):
            return 0
        with contextlib.suppress(LostRace):
            self._store.replace_shared(POLLED, {"at": to_text(self._clock.now())}, expected=etag)
            try:
                return self.poll()
            except StoreUnavailable:
                raise
            except (TryLater, Refused) as error:
                _log.warning("approvals not polled", extra={"action": "approvals_not_polled", "error": type(error).__name__})
        return 0

    def asked_is_gone(self, person_id: str) -> None:
        """Somebody who may be asked right now can answer no more: whoever waits for them looks for another. Raises as ``hint``."""
        asks = [row for row in self._open() if person_id.lower() in (one.lower() for one in row.data.get("asked", ()))]
        self._send(asks, GONE)

    def forget(self, ticket_id: str, partition: str) -> None:
        """Nobody in this partition waits for this ticket: a row that says so was left behind."""
        row = index_row(self._store, APPROVALS, ticket_id)
        if row is not None and row.data["partition"] == partition:
            self._store.delete_index(APPROVALS, ticket_id)

    def watched_enough(self, ticket_id: str) -> None:
        """Nobody can answer any more on a ticket whose question has ended."""
        self._store.delete_index(STILL_ASKED, ticket_id)

    def _open(self) -> list[Row]:
        return list(index_rows(self._store, APPROVALS))

    def _answerable(self) -> list[Row]:
        """The open questions, and those that ended while somebody could still answer."""
        rows = {row.name: row for row in self._open()}
        for row in index_rows(self._store, STILL_ASKED):
            if self._clock.now() - from_text(row.data["at"]) < _WATCHED:
                rows.setdefault(row.name, row)
            else:
                self.watched_enough(row.name)
        return list(rows.values())

    def _ended(self, ticket_id: str) -> Row | None:
        return index_row(self._store, ENDED, ticket_id) if ticket_id else None

    def _send(self, rows: Iterable[Row], cause: str) -> None:
        envelopes = []
        for row in rows:
            tenant, _, subject = row.data["partition"].partition("|")
            now = self._clock.now()
            envelopes.append(Envelope(tenant=tenant, subject=subject, kind=EnvelopeKind.ANSWER, cause=cause, at=now, about=row.name))
        if envelopes:
            self._queue.send([Outgoing(body=one.encode(), session_id=one.session_id) for one in envelopes])


def _is_news(row: Row, told: datetime | None, now: datetime) -> bool:
    """Whether to tell that the desk does not list a ticket: once after each round began, and then every hour.

    Before its first round a ticket is not expected in the list; if that lasts for long, the row was left behind.
    """
    since = from_text(row.data["at"])
    expected = since if row.data.get("begun") else since + _AGAIN
    return now >= expected and (told is None or told <= since or now - told >= _AGAIN)
