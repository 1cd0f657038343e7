"""The application. Every door (functions, command, console, tests) calls this class and nothing else."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from joinery.domain.moments import from_text, to_text
from joinery.engine.alerts import AlertDesk
from joinery.engine.answers import AnswerPost
from joinery.engine.baseline import Baseliner
from joinery.engine.breaker import DECIDED, Breaker, HeldBook
from joinery.engine.desk_door import DeskDoor
from joinery.engine.dispatch import Dispatcher
from joinery.engine.envelope import ALERTS, Envelope, EnvelopeKind, decode
from joinery.engine.group_looks import GroupLooks
from joinery.engine.health import Health
from joinery.engine.hints import HintReader
from joinery.engine.intake import Intake, Reply, Unacceptable
from joinery.engine.parking import ParkingLot
from joinery.engine.partition import DUE
from joinery.engine.pauses import PauseBoard
from joinery.engine.ports import Clock, Document, MessageQueue, Outgoing, Randomness, StateStore
from joinery.engine.promotion import PromotionBook, look_sent, retried, wanted_looks
from joinery.engine.readside import ReadSide
from joinery.engine.retry import STORE_PAUSE, busy_pause, refused_pause
from joinery.engine.standing_orders import StandingOrders
from joinery.engine.sweeps import OWED, STARTED, Sweeper, SweepReport, owe
from joinery.engine.upkeep import Upkeep
from joinery.errors import BadMessage, LostRace, OutcomeUnknown, QueueUnavailable, Refused, StoreUnavailable, TryLater

_log = logging.getLogger(__name__)

#: A validation token longer than this is not echoed.
_TOKEN_MAX = 4096
#: How often a handler that lost a race reads again before the message goes back.
_RACES = 3
#: A look that the directory refused this often, within about two hours, is shown to a person instead of being tried for ever.
_REFUSALS = 12
#: A hint that was dead-lettered this often is shown to a person instead.
_REVIVALS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """Intake, handling, timers and the read side, over ports."""

    tenant: str
    clock: Clock
    randomness: Randomness
    store: StateStore
    queue: MessageQueue
    intake: Intake
    dispatcher: Dispatcher
    answers: AnswerPost
    desk_door: DeskDoor
    group_looks: GroupLooks
    hints: HintReader
    sweeper: Sweeper
    alerts: AlertDesk
    orders: StandingOrders
    pauses: PauseBoard
    breaker: Breaker
    held: HeldBook
    promotions: PromotionBook
    baseliner: Baseliner
    parking: ParkingLot
    upkeep: Upkeep
    reads: ReadSide
    vitals: Health

    # --- intake ---

    def accept(self, body: bytes, *, content_type: str = "", validation_token: str | None = None, lifecycle: bool = False) -> Reply:
        """A post from the directory: 202 only after the bus took every envelope, 503 if it did not, 4xx for what is no notification."""
        if validation_token is not None:
            if len(validation_token) > _TOKEN_MAX:
                return Reply(status=400, body="the validation token is too long")
            return Reply(status=200, body=validation_token, content_type="text/plain")
        try:
            hints = self.intake.read(body, content_type)
        except Unacceptable as refusal:
            self.vitals.counters.count(0, [f"HTTP {refusal.status}"])
            return Reply(status=refusal.status, body=refusal.sentence)
        envelopes, dropped = self.hints.envelopes(hints, lifecycle=lifecycle)
        try:
            if envelopes:
                self._send(envelopes)
        except QueueUnavailable:
            self.vitals.counters.count(0, ["the queue did not answer"])
            return Reply(status=503, body="the queue did not take it; send it again")
        self.vitals.counters.count(len(hints), dropped)
        if dropped:
            _log.info("notifications dropped", extra={"action": "notifications_dropped", "reasons": dict(Counter(dropped))})
        return Reply(status=202)

    def desk_event(self, body: bytes, *, secret: str, authorization: str) -> Reply:
        """A post from the desk: a hint at most. 202 whatever it names, once the bus took an envelope for each approval that we wait for."""
        try:
            tickets = self.desk_door.read(body, secret=secret, authorization=authorization)
            waited_for = self.answers.hint(tickets)
        except Unacceptable as refusal:
            return Reply(status=refusal.status, body=refusal.sentence)
        except (StoreUnavailable, QueueUnavailable):
            return Reply(status=503, body="it could not be taken; send it again")
        _log.info("desk event", extra={"action": "desk_event", "tickets": len(tickets), "waited_for": waited_for})
        return Reply(status=202)

    def _send(self, envelopes: Iterable[Envelope], *, not_before: datetime | None = None) -> None:
        self.queue.send([Outgoing(body=one.encode(), session_id=one.session_id, not_before=not_before) for one in envelopes])

    # --- handling ---

    def handle(self, body: bytes, *, enqueued_at: datetime | None = None) -> None:
        """One message of the session queue. Returns when its consequences are committed; raises only if even the bus refuses.

        ``enqueued_at`` is the bus's own clock: what is put back for later must be later there, too.
        """
        if enqueued_at is not None and enqueued_at.tzinfo is None:
            # The Functions worker's metadata names no zone; it is UTC.
            enqueued_at = enqueued_at.replace(tzinfo=UTC)
        try:
            envelope = decode(body)
        except BadMessage as error:
            # Unavailable here means: raise, so that the message stays in the queue.
            self._park(body, reason=str(error), remedy=error.remedy)
            return
        if envelope.tenant != self.tenant:
            remedy = "Find out who wrote to the queue; each deployment has a queue and a tenant of its own."
            self._park(body, reason="the envelope belongs to another tenant", remedy=remedy)
            return
        try:
            self._handle(envelope, enqueued_at)
        except StoreUnavailable as error:
            self._put_back(envelope, enqueued_at, STORE_PAUSE * 2 ** min(envelope.attempt, 6), error)
        except LostRace as error:
            self._put_back(envelope, enqueued_at, timedelta(seconds=1), error)
        except TryLater as error:
            self._put_back(envelope, enqueued_at, max(busy_pause(envelope.attempt), error.after or timedelta(0)), error)
        except Refused as error:
            if envelope.refusals >= _REFUSALS:
                remedy = "Mend what the reason names; the next sweep then finds whatever this message was about."
                self._give_up(envelope, reason=f"refused {envelope.refusals + 1} times: {error}", remedy=remedy)
                return
            self._put_back(envelope.refused(), enqueued_at, refused_pause(envelope.refusals), error)
        except Exception as error:
            # A defect of ours. Raising would bring the message back at once, a hundred times in a few seconds.
            if envelope.refusals >= _REFUSALS:
                remedy = "This is a defect: please report it with the log around this moment. The next sweep looks again."
                self._give_up(envelope, reason=f"failed {envelope.refusals + 1} times: {type(error).__name__}", remedy=remedy)
                return
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename.rpartition('/')[2]}:{place.lineno}"
            extra = {"action": "handling_failed", "session": envelope.session_id, "error": type(error).__name__, "where": where}
            _log.error("handling failed", extra=extra)
            self._put_back(envelope.refused(), enqueued_at, refused_pause(envelope.refusals), error)

    def _handle(self, envelope: Envelope, enqueued_at: datetime | None) -> None:
        if envelope.kind in (EnvelopeKind.LOOK, EnvelopeKind.WAKE, EnvelopeKind.ANSWER) and envelope.subject.startswith("person:"):
            for race in range(_RACES):
                try:
                    self.dispatcher.handle(envelope, enqueued_at=enqueued_at)
                    return
                except LostRace:
                    if race == _RACES - 1:
                        raise
        elif envelope.kind in (EnvelopeKind.ALERT, EnvelopeKind.WAKE) and envelope.subject == ALERTS:
            self.alerts.handle(envelope)
        elif envelope.kind is EnvelopeKind.LOOK_GROUP and envelope.subject.startswith("group:"):
            self.group_looks.handle(envelope)
        elif envelope.kind is EnvelopeKind.OPERATE and envelope.cause.startswith("lifecycle "):
            self.renew_subscriptions(renew=envelope.cause.endswith("reauthorizationRequired"))
            if not envelope.cause.endswith("reauthorizationRequired"):
                self.sweep()
        else:
            self._park(
                envelope.encode(),
                reason=f"nobody handles {envelope.kind} about {envelope.subject.partition(':')[0]}",
                remedy="Deploy the same version of Joinery everywhere; the next sweep looks again.",
            )

    def _put_back(self, envelope: Envelope, enqueued_at: datetime | None, wait: timedelta, error: Exception) -> None:
        """The directory or the store does not answer: the envelope goes back to its session for later, and this message completes."""
        extra = {"action": "put_back", "session": envelope.session_id, "attempt": envelope.attempt, "error": type(error).__name__}
        if isinstance(error, StoreUnavailable):
            # Files, partitions and versions: what a person needs who is to mend it.
            extra["why"] = str(error)
        _log.warning("put back", extra=extra)
        again = envelope.repeated()
        if envelope.kind is EnvelopeKind.WAKE and envelope.cause == "tick":
            # The due row still stands, so the next tick sends another; putting this one back too would multiply them.
            return
        # Jitter only lengthens: nothing is asked before the moment that the other side named.
        wait *= self.randomness.uniform(1.0, 1.25)
        now = self.clock.now()
        self._send([again], not_before=max(now, enqueued_at or now) + wait)

    def _give_up(self, envelope: Envelope, *, reason: str, remedy: str) -> None:
        """Out of the queue; the next sweep that ends well looks again, because its delta link is past what this look was about."""
        owe(self.store, envelope)
        if envelope.cause != OWED:
            self._park(envelope.encode(), reason=reason, remedy=remedy)

    def _park(self, body: bytes, *, reason: str, remedy: str) -> None:
        """Out of the queue and before a person's eyes. Raises StoreUnavailable."""
        parked = self.parking.park(body, reason=reason, remedy=remedy)
        self._alert("a message was parked that nobody could handle; `joinery parked list` says which and why", about=f"parked#{parked}")

    def _alert(self, cause: str, *, about: str) -> None:
        """Tell the alerts session about something that no partition noticed."""
        envelope = Envelope(
            tenant=self.tenant, subject=ALERTS, kind=EnvelopeKind.ALERT, cause=cause[:600], at=self.clock.now(), about=about
        )
        _log.error("alert", extra={"action": "alert", "about": about})
        # The bus does not answer: it is in the log, and whatever it is about is seen again or stands in health.
        with contextlib.suppress(QueueUnavailable):
            self._send([envelope])

    # --- timers ---

    def tick(self) -> int:
        """Wake every partition whose moment has come and whose message was lost; returns how many. Seal the audit, where it is time."""
        self.upkeep.before_waking()
        now = self.clock.now()
        # What is due within this very minute has its own message; a tick that is ahead of it would only double the work.
        due = self.store.list_index(DUE, up_to=to_text(now - timedelta(seconds=5)) + "~")
        woken = 0
        for row in due:
            partition = row.data["partition"]
            snapshot = self.store.read(partition)
            # Read without its class: the head of a newer release is none of ours, and its row is to stay as well.
            if (snapshot.head or {}).get("due_key") != row.name:
                # Written before a commit that never came, or overtaken by a later one.
                if now - from_text(row.name.partition("|")[0]) > timedelta(minutes=2):
                    self.store.delete_index(DUE, row.name)
                continue
            tenant, _, subject = partition.partition("|")
            self._send([Envelope(tenant=tenant, subject=subject, kind=EnvelopeKind.WAKE, cause="tick", at=now)])
            woken += 1
        self._go_on_with_decided(now)
        self._revive()
        self.answers.poll_if_due()
        self._subscribe_where_nobody_did()
        self.upkeep.erase()
        return woken

    def _subscribe_where_nobody_did(self) -> None:
        if self.orders.wanting():
            try:
                self.renew_subscriptions()
            except (TryLater, Refused, OutcomeUnknown) as error:
                _log.warning("not subscribed", extra={"action": "not_subscribed", "error": type(error).__name__})

    def _go_on_with_decided(self, now: datetime) -> None:
        """Look at everybody about whom somebody decided something since: a held change, a rehearsed one, a failed run, an applied edit."""
        held = [change.partition for change in self.held.listed() if change.decision]
        self._look_at(dict.fromkeys([*held, *self.promotions.partitions(), *retried(self.store)]), DECIDED, now)
        for partition, cause in wanted_looks(self.store):
            self._look_at([partition], cause, now)
            look_sent(self.store, partition)

    def _look_at(self, partitions: Iterable[str], cause: str, now: datetime) -> None:
        parts = [partition.partition("|") for partition in partitions]
        if parts:
            self._send(
                Envelope(tenant=tenant, subject=subject, kind=EnvelopeKind.LOOK, cause=cause, at=now) for tenant, _, subject in parts
            )

    def _revive(self) -> None:
        """Dead-lettered looks are only hints: send them again. Anything else a person should see: park it."""
        for dead in self.queue.dead_letters():
            try:
                envelope = decode(dead.body)
            except BadMessage as error:
                self._park(dead.body, reason=f"dead-lettered: {dead.reason}; {error}", remedy=error.remedy)
            else:
                if envelope.kind is not EnvelopeKind.OPERATE and envelope.revived < _REVIVALS:
                    self._send([envelope.revive()])
                else:
                    remedy = "Look at the log around its moment; when the cause is mended, repeat the command."
                    self._park(dead.body, reason=f"dead-lettered: {dead.reason}", remedy=remedy)
            self.queue.remove_dead_letter(dead.id)

    def poll_approvals(self) -> int:
        """Ask the desk now which approvals still wait, in one list; returns how many runs look again. The tick does so every 5 minutes."""
        return self.answers.poll()

    def sweep(self) -> SweepReport:
        """Ask the directory what changed, and look at it. Raises TryLater, Refused, StoreUnavailable, QueueUnavailable."""
        try:
            report = self.sweeper.sweep()
        except Refused as error:
            self._alert(f"the directory refuses the sweep: {error}", about=f"sweep#{to_text(self.clock.now())}")
            raise
        self.breaker.count_active()
        extra = {"action": "swept", "people": report.people, "groups": report.groups, "pages": report.pages}
        _log.info("swept", extra=extra)
        return report

    def renew_subscriptions(self, *, renew: bool = False) -> dict[str, datetime]:
        """See to it that both subscriptions exist, point here, and last; ``renew`` both, however long they last. Raises TryLater or Refused."""
        try:
            return self.orders.see_to(renew=renew)
        except Refused as error:
            self._alert(f"the directory refuses our subscriptions: {error}", about=f"subscriptions#{to_text(self.clock.now())}")
            raise

    # --- the start, and how we are ---

    def health(self) -> tuple[bool, Document]:
        """Ready or not, and the counters. Never raises."""
        return self.vitals.report()

    def starting(self, *, alone: bool) -> None:
        """A local host calls this at its start: from now on health waits for the start-up sweep.

        ``alone``: nobody else uses the store. Then nobody is in the middle of a commit, and index rows that a crash left behind go at once.
        """
        etag, _ = self.store.read_shared(STARTED)
        # Another worker may start in the same moment; its sweep counts for both.
        with contextlib.suppress(LostRace):
            self.store.replace_shared(STARTED, {"at": to_text(self.clock.now())}, expected=etag)
        if alone:
            self.sweeper.tidy(older_than=timedelta(0))
