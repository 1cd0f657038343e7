"""One person's partition: read once, changed by commits, each atomic and each followed by the wake it needs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from joinery.domain.changes import Known
from joinery.domain.moments import from_text, to_text
from joinery.domain.tickets import CloseTicket, EndTicket
from joinery.engine import audit, codec, seals
from joinery.engine.envelope import ALERTS, Envelope, EnvelopeKind
from joinery.engine.journal import (
    APPROVAL,
    KNOWN,
    Check,
    Head,
    Run,
    RunStatus,
    Step,
    StepState,
    opened,
    run_row,
    split_head,
    step_row,
    whole_head,
)
from joinery.engine.ports import Clock, Commit, Document, MessageQueue, Outgoing, Randomness, Row, StateStore
from joinery.errors import QueueUnavailable

_log = logging.getLogger(__name__)

#: An envelope stays under 2 kB.
_CAUSE_MAX = 600

#: Index names.
DUE, PERSONS, OPEN_RUNS, RUNS = "due", "persons", "open-runs", "runs"
#: Ticket id -> partition, whom it asks, whether they can answer by now and since when, for each approval that is open.
APPROVALS = "approvals"
#: Ticket id -> partition of the last approval that was decided on it; and as ``APPROVALS``, where somebody could still answer then.
ENDED, STILL_ASKED = "approvals-ended", "approvals-still-asked"


class Partition:
    """What is stored about one subject, with the changes that the next commit will write."""

    def __init__(self, name: str, *, store: StateStore, queue: MessageQueue | None, clock: Clock, randomness: Randomness) -> None:
        self.name = name
        self.clock = clock
        self._store = store
        self._queue = queue
        self._randomness = randomness
        self._put: dict[str, Row] = {}
        self._delete: set[str] = set()
        self._after: list[Callable[[], None]] = []
        #: Row name -> envelope of each alert that was committed and not sent yet.
        self._alerts: dict[str, Document] = {}
        self.runs: dict[int, Run] = {}
        self.steps: dict[int, dict[str, Step]] = {}
        self.checks: dict[str, Check] = {}
        snapshot = store.read(name)
        self._etag = snapshot.etag
        stored = whole_head(snapshot)
        self.head = Head.from_document(stored, partition=name) if stored else Head()
        self._documented: Head | None = None
        self._document: Document = {}
        #: What the row beside the head says; None where there is none.
        self._known: Known | None = None
        self._committed_seq = self.head.audit_seq
        #: Makes commit ids that nobody else has, and how many it made.
        self._token, self._commits = randomness.token(), 0
        #: The moment from which the tick finds us, and the index row that says so.
        self._indexed: datetime | None = None
        self._due_key = ""
        for row in snapshot.rows:
            self._take(row)

    def _take(self, row: Row) -> None:
        kind, _, rest = row.name.partition(".")
        if kind == "check":
            check = opened(row, Check, partition=self.name, tagged="order")
            self.checks[check.key] = check
        elif kind == "alert":
            self._alerts[row.name] = row.data
        elif kind == KNOWN:
            self._known = self.head.known
        elif "." not in rest:
            run = opened(row, Run, partition=self.name, tagged="fact")
            self.runs[run.seq] = run
        else:
            step = opened(row, Step, partition=self.name, tagged="order")
            self.steps.setdefault(int(rest.partition(".")[0]), {})[step.name] = step

    @property
    def is_new(self) -> bool:
        """Nothing was ever committed here."""
        return self._etag is None

    def closed_rows(self, seq: int) -> tuple[Row, ...]:
        """The stored rows of an ended run, itself first."""
        return self._store.scan(self.name, f"~closed.{seq:06d}")

    def kept(self, name: str) -> Document | None:
        """A stored row of another kind, above the open range; None where there is none."""
        return next((row.data for row in self._store.scan(self.name, name, limit=1) if row.name == name), None)

    # --- changes, written by the next commit ---

    def save_run(self, run: Run) -> Run:
        """Insert or replace an open run."""
        self.runs[run.seq] = run
        self._write(run_row(run))
        return run

    def save_step(self, run: Run, step: Step) -> Step:
        """Insert or replace a step of an open run."""
        self.steps.setdefault(run.seq, {})[step.name] = step
        self._write(step_row(run, step))
        return step

    def save_check(self, check: Check) -> None:
        """Insert or replace a twin check."""
        self.checks[check.key] = check
        self._write(Row(name=check.row, data=codec.to_document(check)))

    def drop_check(self, check: Check) -> None:
        """The check is settled."""
        del self.checks[check.key]
        self._remove(check.row)

    def start_run(self, run: Run) -> None:
        """A new run: its index rows are written now, itself by the next commit."""
        self._store.put_index(RUNS, f"{to_text(run.started_at)}|{self.name}|{run.seq:06d}", {"id": run.id})
        self._store.put_index(OPEN_RUNS, f"{self.name}|{run.seq:06d}", {"id": run.id, "at": to_text(run.started_at)})
        self.save_run(run)

    def close_run(self, run: Run) -> None:
        """Move an ended run out of the open range, steps and all. The tickets that it closed are nobody's to close any more."""
        closed = replace(run, closed_at=self.clock.now(), due=None, waiting_for="")
        self._write(Row(name=f"~closed.{run.seq:06d}", data=codec.to_document(closed)))
        self._remove(run.row)
        steps = self.steps.pop(run.seq, {}).values()
        closed_tickets = {codec.untag(step.order or {}).ticket_id for step in steps if _closed_a_ticket(run, step)}
        if closed_tickets:
            kept = {matter: ticket for matter, ticket in self.head.tickets.items() if ticket not in closed_tickets}
            self.head = replace(self.head, tickets=kept)
        for step in steps:
            self._write(Row(name=f"~closed.{run.seq:06d}.step.{step.n:03d}", data=codec.to_document(step)))
            self._remove(step.row(run))
            if step.asks == APPROVAL and run.mode == "live":
                self._after.append(lambda ticket=step.key: self._store.delete_index(APPROVALS, ticket))  # type: ignore[misc]  # bound per turn
        del self.runs[run.seq]
        self._after.append(lambda: self._store.delete_index(OPEN_RUNS, f"{self.name}|{run.seq:06d}"))

    def reopen_run(self, closed: Run) -> tuple[Run, tuple[Step, ...]]:
        """Move an ended run back into the open range, its steps as they ended; its index row is written now."""
        steps = []
        for row in self.closed_rows(closed.seq):
            self._remove(row.name)
            if ".step." in row.name:
                steps.append(opened(row, Step, partition=self.name, tagged="order"))
        self._store.put_index(OPEN_RUNS, f"{self.name}|{closed.seq:06d}", {"id": closed.id, "at": to_text(self.clock.now())})
        run = self.save_run(replace(closed, status=RunStatus.OPEN, closed_at=None, due=None, reason="", unknown_since=None))
        for step in steps:
            self.save_step(run, step)
        return run, tuple(steps)

    def audit(
        self, action: str, why: str = "", *, run: str = "", step: str = "", personal: Document | None = None, **detail: object
    ) -> None:
        """Add an entry to the chain. ``detail`` must hold ids and counts only; names and addresses go to ``personal``."""
        record = audit.AuditRecord(
            seq=self.head.audit_seq + 1,
            at=self.clock.now(),
            action=action,
            why=why,
            run=run,
            step=step,
            detail=codec.to_document(detail),
        )
        linked, rows = audit.chain(record, after=self.head.audit_hash, personal=personal, salt=self._randomness.token())
        self.head = replace(self.head, audit_seq=linked.seq, audit_hash=linked.hash)
        for row in rows:
            self._write(row)
        _log.info(action, extra={"action": action, "partition": self.name, "run": run, "step": step})

    def alert(self, why: str, *, cause: str = "", run: str = "", step: str = "") -> None:
        """Somebody should look: audited here, and told to the alerts session once this is committed.

        ``cause`` is the same text for everything that one remedy mends; left out, it is ``why``. Ids and rules only.
        """
        self.audit("alert", why, run=run, step=step)
        _log.error("alert", extra={"action": "alert", "partition": self.name, "run": run, "step": step})
        tenant, _, subject = self.name.partition("|")
        if subject == ALERTS:
            # Trouble with telling is not told by the same road.
            return
        seq = self.head.audit_seq
        envelope = Envelope(
            tenant=tenant,
            subject=ALERTS,
            kind=EnvelopeKind.ALERT,
            cause=(cause or why)[:_CAUSE_MAX],
            at=self.clock.now(),
            run=run,
            about=f"{subject}#{seq}",
        )
        row = Row(name=f"alert.{seq:012d}", data=codec.to_document(envelope))
        self._alerts[row.name] = row.data
        self._write(row)

    def keep(self, row: Row) -> None:
        """Insert or replace a row of another kind."""
        self._write(row)

    def settle(self) -> None:
        """At the end of a message: alerts that wait for the bus are sent, and the rows of those that were sent go."""
        for _ in range(2):
            if self._put or self._delete or self._alerts:
                self.commit()

    def afterwards(self, act: Callable[[], None]) -> None:
        """Do this once the next commit is in; what is lost with a crash must be harmless."""
        self._after.append(act)

    def _write(self, row: Row) -> None:
        self._delete.discard(row.name)
        self._put[row.name] = row

    def _remove(self, name: str) -> None:
        # A row that was never committed needs no deletion, but deleting it anyway costs nothing and cannot be wrong.
        self._put.pop(name, None)
        self._delete.add(name)

    # --- the commit ---

    def next_due(self) -> datetime | None:
        """When somebody has to come back to this partition; None: no moment is named."""
        moments = [run.due for run in self.runs.values()] + [check.due for check in self.checks.values()]
        moments += [self.head.look_again_at, self.head.grants_due]
        return min((moment for moment in moments if moment is not None), default=None)

    def _found_by_tick_from(self, due: datetime | None) -> datetime | None:
        """From when on the tick finds us. A run without a moment is in hand: should that hand fail, it is due since it started."""
        in_hand = [run.started_at for run in self.runs.values() if run.due is None]
        in_hand += [from_text(envelope["at"]) for envelope in self._alerts.values()]
        return min((moment for moment in (*in_hand, due) if moment is not None), default=None)

    def commit(self) -> None:
        """Write everything that changed, or nothing. Raises LostRace or StoreUnavailable."""
        due = self.next_due()
        indexed = self._found_by_tick_from(due)
        before = self.head.due_key
        if indexed != self._indexed:
            self._indexed, self._due_key = indexed, f"{to_text(indexed)}|{self.name}" if indexed else ""
        key = self._due_key
        if key and key != before:
            self._store.put_index(DUE, key, {"partition": self.name})
        if self.is_new and "|person:" in self.name:
            self._store.put_index(PERSONS, self.name, {})
        wake = due if due != self.head.wake_at else None
        mark = self._mark_growth()
        if (key, due, mark) != (before, self.head.wake_at, self.head.seal_mark):
            self.head = replace(self.head, due_key=key, wake_at=due, seal_mark=mark)
        self._commits += 1
        self._etag = self._store.commit(
            Commit(
                partition=self.name,
                expected=self._etag,
                commit_id=f"{self._token}-{self._commits}",
                head=self._head_document(),
                put=tuple(self._put.values()),
                delete=tuple(self._delete),
            )
        )
        if self.head.audit_seq != self._committed_seq and seals.is_stale(self.head.seal_mark, self.clock.now()):
            # We stood still between the two writes, and the sealer may have dropped the mark meanwhile.
            self._store.put_index(seals.GREW, self.head.seal_mark, {})
        self._committed_seq = self.head.audit_seq
        self._put, self._delete, after = {}, set(), self._after
        self._after = []
        if before and key != before:
            after.append(lambda: self._store.delete_index(DUE, before))
        for act in after:
            act()
        if wake:
            self.schedule_wake(wake)
        self._send_alerts()

    def _head_document(self) -> Document:
        """The head as it is stored; most commits of a run leave it as it was, and nearly all what is known."""
        if self._documented is not self.head:
            self._document, known = split_head(self.head.to_document())
            if self.head.known != self._known:
                self._write(known)
                self._known = self.head.known
            self._documented = self.head
        return self._document

    def _send_alerts(self) -> None:
        """What was committed goes to the alerts session; its rows go with the next commit. Twice after a crash, and then counted once."""
        if self._queue is None or not self._alerts:
            return
        try:
            self._queue.send(
                Outgoing(body=codec.to_bytes(data), session_id=f"{data['tenant']}|{data['subject']}") for data in self._alerts.values()
            )
        except QueueUnavailable:
            # The due index has them: the tick finds what a lost message left behind.
            _log.warning("alert not sent", extra={"action": "alert_not_sent", "partition": self.name})
            return
        for name in list(self._alerts):
            del self._alerts[name]
            self._remove(name)

    def _mark_growth(self) -> str:
        """Where the chain grew: tell the sealer, once in each of its periods; returns the mark."""
        if self.head.audit_seq == self._committed_seq:
            return self.head.seal_mark
        mark = seals.mark(self.name, self.clock.now())
        if mark == self.head.seal_mark:
            return mark
        self._store.put_index(seals.GREW, mark, {})
        return mark

    def look_once_more(self, pause: timedelta, *, enqueued_at: datetime | None) -> None:
        """By message, not by the head: most hints that show nothing new are repeats, and those shall cost no write.

        The message waits on the bus's clock. Where the bus does not take it, or not for certain, the head remembers: the hint put back
        would bring one more message each time.
        """
        if self._queue is None:
            return
        now = self.clock.now()
        tenant, _, subject = self.name.partition("|")
        look = Envelope(tenant=tenant, subject=subject, kind=EnvelopeKind.LOOK, cause="second look", at=now, again=True)
        try:
            self._queue.send([Outgoing(body=look.encode(), session_id=look.session_id, not_before=max(now, enqueued_at or now) + pause)])
        except QueueUnavailable:
            self.head = replace(self.head, look_again_at=now + pause)
            self.commit()

    def schedule_wake(self, moment: datetime, *, attempt: int = 0) -> None:
        """Send ourselves a message for this moment; ``attempt`` counts those that came too early.

        Without a bus at hand the due index has it, and the tick finds it.
        """
        if self._queue is None:
            return
        tenant, _, subject = self.name.partition("|")
        wake = Envelope(tenant=tenant, subject=subject, kind=EnvelopeKind.WAKE, cause="timer", at=self.clock.now(), attempt=attempt)
        try:
            self._queue.send([Outgoing(body=wake.encode(), session_id=wake.session_id, not_before=moment)])
        except QueueUnavailable:
            # The due index has it: the tick finds what a lost message left behind.
            _log.warning("wake not sent", extra={"action": "wake_not_sent", "partition": self.name})


def _closed_a_ticket(run: Run, step: Step) -> bool:
    return step.asks in (CloseTicket.__name__, EndTicket.__name__) and step.state is StepState.DONE and run.mode == "live"
