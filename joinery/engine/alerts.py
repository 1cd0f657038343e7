"""The alerts session: whatever a person should look at comes together here, so that one cause opens one ticket, however many it hits.

Whoever notices something commits an alert in its own partition and sends an envelope to this session. Here its cause is looked up:
a new one is told outside (a webhook, since the desk may be what is down) and opens a ticket; one that is known is counted.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from joinery.domain.events import AlertRaised
from joinery.domain.moments import from_text, to_text
from joinery.domain.person import Person
from joinery.engine import codec
from joinery.engine.checks import LateChecks
from joinery.engine.envelope import ALERTS, Envelope, EnvelopeKind
from joinery.engine.journal import Run, RunStatus, run_id
from joinery.engine.partition import Partition
from joinery.engine.pauses import PauseBoard
from joinery.engine.ports import AlertSink, Clock, Document, Row, StateStore
from joinery.engine.recipes import Workflow
from joinery.engine.retry import EngineTiming
from joinery.engine.rows import partition_rows
from joinery.engine.runner import Runner

_log = logging.getLogger(__name__)

#: A cause that was quiet for this long opens a new ticket when it comes back.
QUIET = timedelta(hours=24)
#: Names of the rows that remember causes; they lie above the open range, so a thousand of them cost no read.
CAUSES = "~cause."
#: What an adapter adds to an error so that one call can be found in logs: it differs each time, and the cause is the same.
_ONE_CALL = re.compile(r" \[client-request-id [^\]]*\]?")
#: How many of the places where a cause struck are remembered, to know a repeated envelope.
_REMEMBERED = 100

#: An alert is about nobody: its ticket goes where people without a site rule go.
NOBODY = Person(id="joinery", user_principal_name="", display_name="Joinery", user_type="")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One reason for alerts, and where it struck."""

    cause: str
    first_at: datetime
    last_at: datetime
    count: int
    #: ``<subject>#<audit seq>`` of the latest, for whoever looks for details.
    about: tuple[str, ...] = ()
    #: Seq of the run that opened the ticket; None where no ticket is opened.
    run: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertDesk:
    """Handles the envelopes of the alerts session."""

    open_partition: Callable[[str], Partition]
    store: StateStore
    runner: Runner
    checks: LateChecks
    pauses: PauseBoard
    sink: AlertSink
    clock: Clock
    timing: EngineTiming
    deployment: str
    #: Opens the ticket; None: causes are told outside and counted, no ticket is opened.
    workflow: Workflow | None = field(default=None)

    def handle(self, envelope: Envelope) -> None:
        """Count an alert, or go on with what is open. Raises LostRace, StoreUnavailable."""
        stop_at = self.clock.monotonic() + self.timing.work_budget.total_seconds()
        partition = self.open_partition(envelope.session_id)
        if envelope.kind is EnvelopeKind.ALERT:
            self._count(partition, envelope)
        now = self.clock.now()
        for run in sorted(partition.runs.values(), key=lambda one: one.seq):
            if run.due is None or run.due <= now:
                self.runner.advance(partition, run, pauses=self.pauses.read, stop_at=stop_at)
        if any(check.due <= now for check in partition.checks.values()):
            self.checks.carry_out(partition, self.pauses.read())

    def _count(self, partition: Partition, envelope: Envelope) -> None:
        now = self.clock.now()
        name = f"{CAUSES}{hashlib.sha256(_ONE_CALL.sub('', envelope.cause).encode()).hexdigest()[:20]}"
        known = next(iter(self.store.scan(partition.name, name, limit=1)), None)
        before = _read(known) if known else None
        if before is not None and envelope.about in before.about:
            return
        if before is not None and now - before.last_at < QUIET and not _is_without_ticket(partition, before):
            about = (*before.about, envelope.about)[-_REMEMBERED:]
            partition.keep(_row(name, replace(before, last_at=now, count=before.count + 1, about=about)))
            partition.audit("alert repeated", envelope.cause, about=envelope.about, count=before.count + 1)
            partition.commit()
            return
        cause = Cause(cause=envelope.cause, first_at=now, last_at=now, count=1, about=(envelope.about,))
        partition.audit("alert raised", envelope.cause, about=envelope.about)
        if self.workflow is not None:
            run = self._start(partition, self.workflow, AlertRaised(cause=envelope.cause, about=envelope.about, at=to_text(envelope.at)))
            cause = replace(cause, run=run.seq)
        partition.keep(_row(name, cause))
        # Told before it is committed: twice after a crash is better than not at all.
        self.sink.tell(cause=envelope.cause, about=envelope.about, at=envelope.at)
        partition.commit()

    def _start(self, partition: Partition, workflow: Workflow, raised: AlertRaised) -> Run:
        head = partition.head
        seq = head.runs + 1
        identity = run_id(deployment=self.deployment, partition=partition.name, episode=1, workflow=workflow.name, ordinal=seq, mode="live")
        run = Run(
            seq=seq,
            id=identity,
            workflow=workflow.name,
            version=workflow.version,
            fact=codec.tag(raised),
            person=NOBODY,
            episode=1,
            mode="live",
            started_at=self.clock.now(),
        )
        partition.head = replace(head, runs=seq)
        partition.audit("run started", "a new cause", run=identity, workflow=workflow.name, version=workflow.version)
        partition.start_run(run)
        return run


def _is_without_ticket(partition: Partition, cause: Cause) -> bool:
    """Whether its run gave up: then nobody was told on the desk, and a cause that never rests would never be told there again."""
    if cause.run is None or cause.run in partition.runs:
        return False
    return any(row.data.get("status") == RunStatus.FAILED for row in partition.closed_rows(cause.run)[:1])


class LogOnly:
    """Where nobody is told outside: the alert is in the log, in the audit and, where policy has a kind for it, a ticket."""

    def tell(self, *, cause: str, about: str, at: datetime) -> None:
        """Write it to the log."""
        _log.error("alert raised", extra={"action": "alert_raised", "about": about})


def alerts_partition(tenant: str) -> str:
    """The partition in which causes are remembered."""
    return f"{tenant}|{ALERTS}"


def causes(store: StateStore, tenant: str) -> tuple[Cause, ...]:
    """Everything that ever was a cause, the latest first. Raises StoreUnavailable."""
    found = map(_read, partition_rows(store, alerts_partition(tenant), CAUSES))
    return tuple(sorted(found, key=lambda cause: cause.last_at, reverse=True))


def _row(name: str, cause: Cause) -> Row:
    document: Document = {**codec.to_document(cause), "first_at": to_text(cause.first_at), "last_at": to_text(cause.last_at)}
    return Row(name=name, data=document)


def _read(row: Row) -> Cause:
    data = row.data
    return Cause(
        cause=data["cause"],
        first_at=from_text(data["first_at"]),
        last_at=from_text(data["last_at"]),
        count=data["count"],
        about=tuple(data["about"]),
        run=data.get("run"),
    )
