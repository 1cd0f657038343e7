"""The people who report to somebody: told, by a look each, that something changed for their manager, and named on a ticket."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from joinery.domain.person import DirectReports
from joinery.engine import codec
from joinery.engine.envelope import Envelope, EnvelopeKind, person_subject
from joinery.engine.journal import Run, Step, StepState
from joinery.engine.partition import Partition
from joinery.engine.ports import Clock, Directory, MessageQueue, Outgoing
from joinery.errors import Refused, TryLater, Waiting

#: What a step asks for that tells the direct reports, and the cause of the looks it sends.
REPORTS, MANAGER_MOVED = "reports", "manager moved"

#: Pause between two questions.
_AGAIN = timedelta(minutes=1)
#: After so long without an answer the ticket goes out without names: whoever got another manager is seen by their own notification, or the sweep.
_HORIZON = timedelta(minutes=15)
#: So many names fit a ticket that people read.
_NAMED = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportsTeller:
    """One for all runs."""

    directory: Directory
    queue: MessageQueue
    clock: Clock

    def settle(self, partition: Partition, run: Run, step: Step) -> Step:
        """Bring the step to ``DONE``; its result is a ``DirectReports``. A rehearsal tells nobody. Raises Waiting, QueueUnavailable."""
        now = self.clock.now()
        if step.due is not None and now < step.due:
            raise Waiting(until=step.due, why=f"{step.name}: {step.trouble}")
        step = replace(step, first_tried_at=step.first_tried_at or now)
        try:
            reports = self.directory.reports_of(run.person.id)
        except (TryLater, Refused) as error:
            if now - (step.first_tried_at or now) < _HORIZON and isinstance(error, TryLater):
                raise self._later(partition, run, step, error) from None
            partition.audit("reports not told", str(error), run=run.id, step=step.name)
            return self._done(partition, run, step, DirectReports())
        if run.mode == "live" and reports:
            # Sent before the commit that says so: a crash between the two sends them again, and a look more is harmless.
            self._tell(partition, [one.id for one in reports], now)
            partition.audit("reports told", run=run.id, step=step.name, people=len(reports))
        names = sorted(one.display_name or one.id for one in reports)
        return self._done(partition, run, step, DirectReports(count=len(names), names=tuple(names[:_NAMED])))

    def _tell(self, partition: Partition, people: list[str], now: datetime) -> None:
        tenant = partition.name.partition("|")[0]
        looks = (
            Envelope(tenant=tenant, subject=person_subject(one), kind=EnvelopeKind.LOOK, cause=MANAGER_MOVED, at=now) for one in people
        )
        self.queue.send([Outgoing(body=look.encode(), session_id=look.session_id) for look in looks])

    @staticmethod
    def _done(partition: Partition, run: Run, step: Step, reports: DirectReports) -> Step:
        result = codec.to_document(reports)
        return partition.save_step(run, replace(step, state=StepState.DONE, result=result, verified=True, due=None, trouble=""))

    def _later(self, partition: Partition, run: Run, step: Step, error: TryLater) -> Waiting:
        until = self.clock.now() + max(error.after or _AGAIN, _AGAIN)
        partition.save_step(run, replace(step, due=until, trouble=str(error)))
        return Waiting(until=until, why=f"{step.name}: {error}")
