"""The whole system in one process, on a clock that jumps from one moment that matters to the next.

Two worker processes, each an App of its own, share one store, one session queue, one directory and one desk. Every
decision that reality leaves to chance is taken by one seeded source; so the same history is the same history.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
from collections.abc import Callable
from datetime import timedelta

from adapters.queues.engine import QueueEngine
from adapters.queues.messages import QueueMessage, SessionLock
from joinery.app import App
from joinery.domain.moments import from_text
from joinery.engine.memory import FakeClock, MemorySealLog, SeededRandomness
from joinery.engine.memory_desk import MemoryServiceDesk
from joinery.engine.memory_directory import MemoryDirectory
from joinery.engine.retry import EngineTiming
from joinery.errors import LockLost
from joinery.testing import TENANT
from tests.simulation import faults as f
from tests.simulation.answering import Managers
from tests.simulation.cutting import Cutting, furnish
from tests.simulation.expected import is_left_alone
from tests.simulation.files import policy_of
from tests.simulation.news import News
from tests.simulation.operating import Operator
from tests.simulation.ports import FastStore, Landing, ProcessClock
from tests.simulation.records import History, Outcome, Process
from tests.simulation.scheduler import Agenda, Crash, in_micros
from tests.simulation.story import DAY, GROUPS, HOUR, MINUTE, Act, Character
from tests.simulation.theme import PILOT, PROBLEMS, URGENT, Rules
from tests.simulation.troubles import Troubles
from tests.simulation.weather import Weather
from tests.simulation.workers import OPERATOR, Workers

#: After the story: so long everything may take to come to rest.
REST_MAX = 6 * DAY
#: A handler that ends with an error comes again no sooner than this many seconds later: calling a function takes its time.
_AGAIN_MIN, _AGAIN_MAX = 1.0, 5.0


#: More messages than this in one moment, and something sends itself messages for ever. A bus that takes messages and denies it for hours
#: multiplies them, since whatever it denies is sent again; they cost a read each, and come to an end.
STORM, DENIED_STORM = 2000, 50_000


class Storm(Exception):
    """The queue does not come to rest."""


class Simulation:
    """One history, run once."""

    def __init__(self, history: History, *, tracing: bool = False, timing: EngineTiming | None = None) -> None:
        self.history = history
        self.trace: list[str] | None = [] if tracing else None
        self.rng = random.Random(f"run {history.seed}")
        self.clock = FakeClock()
        self._started = self.clock.now()
        self.now = 0.0
        self.agenda = Agenda()
        self.weather = Weather()
        self.theme = history.theme
        self.policy = policy_of(self.theme.rules, cut_off=self.theme.cut_off)
        #: How often the policy file was replaced.
        self.edition = 0
        self.store = FastStore()
        self.seals = MemorySealLog()
        self.engine = QueueEngine(self.clock)
        self.fresh, self.late = MemoryDirectory(clock=self.clock), MemoryDirectory(clock=self.clock)
        self.delta_is_late = self.chance(0.3)
        self.desk = MemoryServiceDesk(clock=self.clock, policy=self.policy.desk, search_lag=timedelta(seconds=self.rng.choice((2, 60))))
        self.landings: list[Landing] = []
        self.process_clock = ProcessClock(self.clock)
        self._swept_log = -1
        self._messages = self._sent = self._at_once = 0
        self._moment = -1.0
        self._ticked = self._swept = -1.0
        self._first_due = ("", 0.0)
        self.randomness = SeededRandomness(history.seed)
        for name in (*GROUPS, *((PILOT, PROBLEMS, URGENT) if self.theme.kind else ())):
            for replica in (self.fresh, self.late):
                replica.put_group(f"g-{name}".lower(), name=name)
        if self.theme.cut_off:
            furnish(self.fresh)
            furnish(self.late)
        self.cutting = Cutting(self)
        self.managers = Managers(self)
        self.news = News(self)
        self.workers = Workers(self, timing or EngineTiming())
        self.gate = self.workers.gate
        self.workers.begin()

    # --- chance and time ---

    def chance(self, share: float) -> bool:
        """True so often."""
        return self.rng.random() < share

    def pick(self, count: int) -> int:
        """A number below ``count``."""
        return self.rng.randrange(count)

    def uniform(self, low: float, high: float) -> float:
        """A number between the two."""
        return self.rng.uniform(low, high)

    def message_id(self) -> str:
        """Fresh."""
        self._sent += 1
        return str(self._sent)

    def count(self, kind: str) -> None:
        """Something made a difference."""
        self.weather.struck[kind] += 1

    @property
    def lagging(self) -> bool:
        """One replica of the directory lags, or still has to catch up."""
        return self.now < self.news.late_until

    def say(self, text: str) -> None:
        """For the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.now:.3f} {text}")

    def _go_to(self, moment: float) -> None:
        # Counted in whole microseconds, as the clock does: sums of fractions would part from it.
        micros = round(moment * 1e6) - round(self.now * 1e6)
        if micros > 0:
            self.clock.advance(timedelta(microseconds=micros))
            self.now = in_micros(moment)

    # --- messages ---

    def _pump(self) -> None:
        while not self.weather.has(f.BUS_DOWN):
            process = self.workers.free()
            lock = self.engine.accept_session() if process is not None else None
            if process is None or lock is None:
                return
            for message in self.engine.receive(lock):
                self._handle(process, lock, message)

    def _handle(self, process: Process, lock: SessionLock, message: QueueMessage) -> None:
        self._messages += 1
        self._at_once = self._at_once + 1 if self._moment == self.now else 1
        self._moment = self.now
        most = DENIED_STORM if self.weather.struck[f.BUS_TAKES_SOME] else STORM
        if self._at_once > most:
            raise Storm(f"{most} messages in one moment, the last about {message.session_id}")
        token = message.lock_token or ""
        if self.trace is not None:
            self.say(f"{process.name} gets {json.loads(message.body)['kind']} {message.session_id} n={message.sequence_number}")

        def done(error: BaseException | None) -> None:
            if self.trace is not None and error is not None:
                self.say(f"{process.name} fails: {type(error).__name__}: {error}")
            if isinstance(error, Crash):
                # The connection ends with the process, or lingers until the lock is over.
                if self.chance(0.5):
                    self.engine.release_session(lock)
                return
            if self.weather.has(f.BUS_DOWN):
                # Nobody hears that it is done.
                return
            with contextlib.suppress(LockLost):
                if error is None:
                    self.engine.complete(token)
                else:
                    process.free_at = self.now + self.rng.uniform(_AGAIN_MIN, _AGAIN_MAX)
                    self.agenda.at(process.free_at, _nothing)
                    self.engine.abandon(token)
            self.engine.release_session(lock)

        self.workers.start(process, lambda: process.app.handle(message.body, enqueued_at=message.enqueued_at), done, lock)

    # --- timers ---

    def _run_timer(self, name: str, run: Callable[[App], object]) -> None:
        process = self.workers.free()
        if process is None:
            self.agenda.at(self.now + 1.0, lambda: self._run_timer(name, run))
            return
        self.say(f"{process.name} {name}")
        app = process.app
        self.workers.start(process, lambda: _forget(run(app)), lambda error: None)

    def _next_full(self, span: float, last: float) -> float:
        """When a timer of that span comes next, which came last at ``last``; those that it left out would have found nothing."""
        return max((last // span + 1) * span, math.ceil(self.now / span) * span)

    def _tick_moment(self) -> float | None:
        """The next full minute at which a tick finds something: the others would provably do nothing, and three days have 4,320."""
        soonest = self._next_full(MINUTE, self._ticked)
        if self.engine.counts().dead or self.store.has_words():
            return soonest
        if self.store.unanswered() - self.desk.awaiting():
            return soonest
        first = self.store.first_due()
        if first is None:
            return None
        if first != self._first_due[0]:
            self._first_due = (first, (from_text(first.partition("|")[0]) - self._started).total_seconds())
        ripe = self._first_due[1] + 5.0 - self.process_clock.error.total_seconds()
        return max(soonest, math.ceil(ripe / MINUTE) * MINUTE)

    def _sweep_moment(self) -> float:
        """The next fifth minute at which a sweep finds something; once an hour it looks in any case."""
        soonest = self._next_full(5 * MINUTE, self._swept)
        log = len(self.fresh._log) + len(self.late._log)
        if log != self._swept_log or self.store.has_open_runs():
            return soonest
        return max(soonest, (self._swept // HOUR + 1) * HOUR)

    def _sweep(self, app: App) -> None:
        log = len(self.fresh._log) + len(self.late._log)
        app.sweep()
        self._swept_log = log

    # --- the run ---

    def run(self) -> Outcome:
        """The story with its faults, then rest, then what there is."""
        weather, self.weather = self.weather, Weather()
        self._troubles = Troubles(self, self.workers.boot(OPERATOR))
        self._until = self.history.story.length + REST_MAX
        for character in self.history.story.people:
            for act in character.acts:
                if act.at < 0:
                    self.news.apply(self.fresh, character.id, act)
                    self.news.apply(self.late, character.id, act)
                    self._settle_in(character, act)
                else:
                    self.agenda.at(act.at, lambda character=character, act=act: self.news.happens(character, act))  # type: ignore[misc]
        users = {user.id: user.active for user in self.desk.users}
        agents = {agent.id: (agent.enabled, agent.roles) for agent in self.desk.agents}
        self.weather = weather
        for fault in self.history.faults:
            self.agenda.at(fault.at, lambda fault=fault: self._troubles.begin(fault))  # type: ignore[misc]
        operator = Operator(self)
        for moment, rules in self.theme.edits:
            self.agenda.at(moment, lambda rules=rules: self._edited(rules))  # type: ignore[misc]
        for moment in self.theme.resyncs:
            self.agenda.at(moment, self._links_expire)
        for visit in self.theme.visits:
            self.agenda.at(visit.at, lambda visit=visit: operator.comes_by(visit))  # type: ignore[misc]
        for turn in range(int(self._until // (6 * HOUR)) + 1):
            self.agenda.at(turn * 6 * HOUR, lambda: self._run_timer("renews", lambda app: app.renew_subscriptions()))
        try:
            self._run_until(self.history.story.length)
            self._troubles.calm()
            rested = self._rest()
        finally:
            self.workers.kill()
        counts = self.engine.counts()
        return Outcome(
            history=self.history,
            start=self._started,
            desk=self.desk,
            users_before=users,
            agents_before=agents,
            landings=self.landings,
            partitions=self.store.dump(),
            indexes=self.store.dump_indexes(),
            waiting=counts.active,
            scheduled=counts.scheduled,
            dead=counts.dead,
            rested=rested,
            ended_at=self.now,
            struck=dict(self.weather.struck),
            messages=self._messages,
            booted=self.workers.booted,
            words=operator.words,
            said=self.managers.said,
            touches=self.cutting.touches,
            trace=self.trace or [],
        )

    def _links_expire(self) -> None:
        self.count(f.LINKS_EXPIRE)
        self.fresh.expire_links()
        self.late.expire_links()

    def _edited(self, rules: Rules) -> None:
        self.say(f"deploy {rules}")
        self.policy, self.edition = policy_of(rules, cut_off=self.theme.cut_off), self.edition + 1
        self.workers.deploy()

    def _settle_in(self, character: Character, act: Act) -> None:
        fields = dict(act.fields)
        if character.desk in ("user", "agent"):
            self.desk.put_user(name=fields["display_name"], address=fields["mail"], directory_id=character.id)
        if character.desk == "stranger":
            self.desk.put_user(name=fields["display_name"], address=fields["mail"])
        if character.desk == "agent":
            self.desk.put_agent(fields["mail"], "Service Desk", "Change Manager")

    def _run_until(self, end: float) -> None:
        while True:
            self._pump()
            tick, sweep = self._tick_moment(), self._sweep_moment()
            moments = [moment for moment in (self.agenda.next(), self._queue_moment(), tick, sweep) if moment is not None]
            moment = min(moments)
            if moment > end:
                self._go_to(end)
                return
            self._go_to(moment)
            while (act := self.agenda.due(self.now)) is not None:
                act()
            if sweep <= self.now:
                self._swept = self.now
                self._run_timer("sweeps", self._sweep)
            if tick is not None and tick <= self.now:
                self._ticked = self.now
                self._run_timer("ticks", lambda app: app.tick())

    def _queue_moment(self) -> float | None:
        seconds = self.engine.next_change()
        if seconds is None:
            return None
        # While the bus is down nobody asks it.
        return self.now + max(seconds, 0.001)

    def _may_wait(self, held: set[str]) -> set[str]:
        """Who asks again every hour whatever happens: what waits for a person's word, too, may be about a grant that ends by its date."""
        waits = self.store.undecided() if self.theme.kind else set()
        return waits | {f"{TENANT}|person:{one}" for one in held}

    def _rest(self) -> bool:
        """Wait until nothing is left to do; False if that never comes."""
        end = self.now + REST_MAX
        # A run of somebody who is none of our business any more is held, and asks every hour whether they are again.
        held = {one.id for one in self.history.story.people if is_left_alone(one, end)}
        while self.now < end:
            self._run_until(min(self.now + 30 * MINUTE, end))
            busy = self.workers.busy
            if not busy and not self.engine.counts().active and self.store.awaited() <= self._may_wait(held):
                break
        else:
            return False
        # Once more around, so that the sweep tidies what is old by now.
        self._run_until(self.now + 20 * MINUTE)
        self.workers.all[0].app.sweep()
        self._run_until(self.now + 10 * MINUTE)
        return not self.engine.counts().active


def _nothing() -> None:
    pass


def _forget(_: object) -> None:
    pass
