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
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from adapters.queues.engine import QueueEngine
from adapters.queues.messages import QueueMessage, SessionLock
from joinery.app import App, SubscriptionUrls
from joinery.assembly import Ports, assemble
from joinery.domain.moments import from_text
from joinery.domain.policy import Policy
from joinery.engine.memory import FakeClock, MemorySealLog, SeededRandomness
from joinery.engine.memory_desk import MemoryServiceDesk
from joinery.engine.memory_directory import MemoryDirectory
from joinery.engine.ports import Hint
from joinery.engine.retry import EngineTiming
from joinery.errors import JoineryError, LockLost, StoreUnavailable
from joinery.testing import DEPLOYMENT, TENANT, MemoryIntake, MemorySubscriptions, everyone
from tests.simulation import faults as f
from tests.simulation.answering import Managers, Said, brisk
from tests.simulation.expected import is_left_alone
from tests.simulation.faults import Fault
from tests.simulation.ports import FastStore, Landing, ProcessClock, gated_desk, gated_directory, gated_queue, gated_store
from tests.simulation.scheduler import Agenda, Crash, Task, in_micros
from tests.simulation.story import DAY, GROUPS, HOUR, MINUTE, Act, Character, Story
from tests.simulation.weather import Weather

#: The operator's command is a process too, but none that dies in these stories.
OPERATOR = "operator"
#: After the story: so long everything may take to come to rest.
REST_MAX = 6 * DAY
#: A handler that ends with an error comes again no sooner than this many seconds later: calling a function takes its time.
_AGAIN_MIN, _AGAIN_MAX = 1.0, 5.0


#: More messages than this in one moment, and something sends itself messages for ever. A bus that takes messages and denies it for hours
#: multiplies them, since whatever it denies is sent again; they cost a read each, and come to an end.
STORM, DENIED_STORM = 2000, 50_000


class Storm(Exception):
    """The queue does not come to rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """All that a simulation needs: the same history runs the same way."""

    seed: int
    story: Story
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class Process:
    """One worker process: an App that may die and start anew."""

    name: str
    app: App
    task: Task | None = None
    free_at: float = 0.0


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What there is when all is over: raw, for the oracle."""

    history: History
    policy: Policy
    start: Any
    desk: MemoryServiceDesk
    #: User id -> active and agent id -> (enabled, roles), before the story.
    users_before: dict[str, bool]
    agents_before: dict[str, tuple[bool, tuple[str, ...]]]
    landings: list[Landing]
    partitions: dict[str, dict[str, Any]]
    indexes: dict[str, dict[str, Any]]
    waiting: int
    scheduled: int
    dead: int
    rested: bool
    #: Seconds since the story began.
    ended_at: float
    struck: dict[str, int]
    messages: int
    said: list[Said] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)


class Simulation:
    """One history, run once."""

    def __init__(self, history: History, *, tracing: bool = False, timing: EngineTiming | None = None) -> None:
        self.history = history
        self.trace: list[str] | None = [] if tracing else None
        self._rng = random.Random(f"run {history.seed}")
        self.clock = FakeClock()
        self._started = self.clock.now()
        self.now = 0.0
        self.agenda = Agenda()
        self.weather = Weather()
        self.policy = brisk(everyone())
        self.store = FastStore()
        self.seals = MemorySealLog()
        self.engine = QueueEngine(self.clock)
        self.fresh, self.late = MemoryDirectory(clock=self.clock), MemoryDirectory(clock=self.clock)
        self.delta_is_late = self.chance(0.3)
        self.desk = MemoryServiceDesk(clock=self.clock, policy=self.policy.desk, search_lag=timedelta(seconds=self._rng.choice((2, 60))))
        self.landings: list[Landing] = []
        self._process_clock = ProcessClock(self.clock)
        self._timing = timing or EngineTiming()
        self._current: Task | None = None
        self._subscribed = True
        self._late_until = 0.0
        self._swept_log = -1
        self._messages = self._sent = self._at_once = 0
        self._moment = -1.0
        self._ticked = self._swept = -1.0
        self._first_due = ("", 0.0)
        for name in GROUPS:
            for replica in (self.fresh, self.late):
                replica.put_group(f"g-{name}".lower(), name=name)
        self.managers = Managers(self)
        self._processes = [Process(name=name, app=self._boot(name)) for name in ("alpha", "beta")]

    # --- chance and time ---

    def chance(self, share: float) -> bool:
        """True so often."""
        return self._rng.random() < share

    def pick(self, count: int) -> int:
        """A number below ``count``."""
        return self._rng.randrange(count)

    def uniform(self, low: float, high: float) -> float:
        """A number between the two."""
        return self._rng.uniform(low, high)

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
        return self.now < self._late_until

    def _say(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.now:.3f} {text}")

    def _go_to(self, moment: float) -> None:
        # Counted in whole microseconds, as the clock does: sums of fractions would part from it.
        micros = round(moment * 1e6) - round(self.now * 1e6)
        if micros > 0:
            self.clock.advance(timedelta(microseconds=micros))
            self.now = in_micros(moment)

    # --- processes ---

    def _boot(self, name: str) -> App:
        ports = Ports(
            clock=self._process_clock,
            randomness=SeededRandomness(self._rng.getrandbits(64)),
            store=gated_store(self, name),
            queue=gated_queue(self, name),
            directory=gated_directory(self, name),
            desk=gated_desk(self, name),
            subscriptions=_Subscriptions(self),
            intake=MemoryIntake(),
            seals=self.seals,
        )
        from workflows import CATALOGUE

        return assemble(
            ports,
            policy=self.policy,
            catalogue=CATALOGUE,
            urls=SubscriptionUrls(notification_url="n", lifecycle_url="l", client_state="s", fingerprint="f"),
            tenant=TENANT,
            deployment=DEPLOYMENT,
            timing=self._timing,
        )

    def gate(self, worker: str, name: str, *, after: bool = False) -> None:
        """Every call of a process passes here, before it and after it: it may be the last, or take long."""
        if self.trace is not None:
            self._say(f"{worker} {'after ' if after else ''}{name}")
        weather = self.weather
        if worker == OPERATOR:
            return
        if weather.armed(f.CRASH):
            crash = weather.strikes(f.CRASH, name)
            if crash is not None:
                self._say(f"{worker} dies {'after' if after else 'before'} {name}")
                raise Crash(f"{worker} died {'after' if after else 'before'} {name}")
        task = self._current
        if task is not None and weather.armed(f.STALL):
            stall = weather.strikes(f.STALL, name)
            if stall is not None:
                self._say(f"{worker} stands still for {stall.much:.1f} s {'after' if after else 'before'} {name}")
                self._frozen = stall.hard
                task.pause(stall.much)

    def _start(self, process: Process, work: Callable[[], None], done: Callable[[BaseException | None], None], lock: Any = None) -> None:
        if not self.weather.armed(f.STALL):
            error: BaseException | None = None
            try:
                work()
            except (Exception, Crash) as stopped:
                error = stopped
            self._ended(process, error, done)
            return
        task = Task(work)
        process.task = task
        self._continue(process, task, done, lock)

    def _continue(self, process: Process, task: Task, done: Callable[[BaseException | None], None], lock: Any) -> None:
        self._current, self._frozen = task, True
        task.resume()
        self._current = None
        if task.finished:
            process.task = None
            self._ended(process, task.error, done)
            return
        self.agenda.at(self.now + task.wants, lambda: self._continue(process, task, done, lock))
        if lock is not None and not self._frozen:
            # A slow call: the host keeps the lock while it waits, for five minutes at most.
            for turn in range(1, int(min(task.wants, 300) // 15) + 1):
                self.agenda.at(self.now + 15 * turn, lambda: self._renew(lock))

    def _renew(self, lock: SessionLock) -> None:
        with contextlib.suppress(LockLost):
            self.engine.renew_session(lock)

    def _ended(self, process: Process, error: BaseException | None, done: Callable[[BaseException | None], None]) -> None:
        if isinstance(error, Crash):
            process.app = self._boot(process.name)
            process.free_at = self.now + 1.0 + self._rng.uniform(0, 4)
            self.agenda.at(process.free_at, _nothing)
        elif error is not None and not isinstance(error, JoineryError):
            raise error
        done(error)

    def _free(self) -> Process | None:
        free = [process for process in self._processes if process.task is None and process.free_at <= self.now]
        return self._rng.choice(free) if free else None

    # --- messages ---

    def _pump(self) -> None:
        while not self.weather.has(f.BUS_DOWN):
            process = self._free()
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
            self._say(f"{process.name} gets {json.loads(message.body)['kind']} {message.session_id} n={message.sequence_number}")

        def done(error: BaseException | None) -> None:
            if self.trace is not None and error is not None:
                self._say(f"{process.name} fails: {type(error).__name__}: {error}")
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
                    process.free_at = self.now + self._rng.uniform(_AGAIN_MIN, _AGAIN_MAX)
                    self.agenda.at(process.free_at, _nothing)
                    self.engine.abandon(token)
            self.engine.release_session(lock)

        self._start(process, lambda: process.app.handle(message.body, enqueued_at=message.enqueued_at), done, lock)

    # --- timers ---

    def _run_timer(self, name: str, run: Callable[[App], object]) -> None:
        process = self._free()
        if process is None:
            self.agenda.at(self.now + 1.0, lambda: self._run_timer(name, run))
            return
        self._say(f"{process.name} {name}")
        app = process.app
        self._start(process, lambda: _forget(run(app)), lambda error: None)

    def _tick_moment(self) -> float | None:
        """The next full minute at which a tick finds something: the others would provably do nothing, and three days have 4,320."""
        soonest = (self._ticked // MINUTE + 1) * MINUTE
        if self.engine.counts().dead:
            return soonest
        if self.store.unanswered() - self.desk.awaiting():
            return soonest
        first = self.store.first_due()
        if first is None:
            return None
        if first != self._first_due[0]:
            self._first_due = (first, (from_text(first.partition("|")[0]) - self._started).total_seconds())
        ripe = self._first_due[1] + 5.0 - self._process_clock.error.total_seconds()
        return max(soonest, math.ceil(ripe / MINUTE) * MINUTE)

    def _sweep_moment(self) -> float:
        """The next fifth minute at which a sweep finds something; once an hour it looks in any case."""
        soonest = (self._swept // (5 * MINUTE) + 1) * 5 * MINUTE
        log = len(self.fresh._log) + len(self.late._log)
        if log != self._swept_log or self.store.has_open_runs():
            return soonest
        return max(soonest, (self._swept // HOUR + 1) * HOUR)

    def _sweep(self, app: App) -> None:
        log = len(self.fresh._log) + len(self.late._log)
        app.sweep()
        self._swept_log = log

    # --- the story ---

    def _happens(self, character: Character, act: Act) -> None:
        self._say(f"{character.id} {act.what} {act.group}")
        self._apply(self.fresh, character.id, act)
        stale = self.weather.window(f.STALE)
        lag = self._rng.uniform(0, stale.much) if stale is not None and self.weather.has(f.STALE) else 0.0
        # One replica takes all changes in their order.
        moment = self._late_until = max(self.now + lag, self._late_until)
        if moment <= self.now:
            self._apply(self.late, character.id, act)
        else:
            self.agenda.at(moment, lambda: self._apply(self.late, character.id, act))
        groups = act.group.split(",") if act.group else []
        if act.what not in ("enter", "exit"):
            self._notify(Hint(genuine=True, about="person", id=character.id))
        for group in groups:
            self._notify(Hint(genuine=True, about="group", id=f"g-{group}".lower(), members=(character.id,)))

    @staticmethod
    def _apply(directory: MemoryDirectory, identity: str, act: Act) -> None:
        match act.what:
            case "create":
                from joinery.domain.person import Person

                directory.put(Person(id=identity, **dict(act.fields)))
                for group in filter(None, act.group.split(",")):
                    directory.add_member(f"g-{group}".lower(), identity)
            case "change":
                directory.change(identity, **dict(act.fields))
            case "enter":
                directory.add_member(f"g-{act.group}".lower(), identity)
            case "exit":
                directory.end_membership(f"g-{act.group}".lower(), identity)
            case "delete":
                directory.soft_delete(identity)
            case "restore":
                directory.restore(identity)
            case "purge":
                directory.purge(identity)

    def _notify(self, hint: Hint) -> None:
        weather = self.weather
        if not self._subscribed:
            self.count(f.UNSUBSCRIBED)
            return
        dropped, doubled, delayed = (weather.window(kind) for kind in (f.DROPPED, f.DOUBLED, f.DELAYED))
        if dropped is not None and self.chance(dropped.much):
            self.count(f.DROPPED)
            return
        copies = 1
        if doubled is not None and self.chance(doubled.much):
            self.count(f.DOUBLED)
            copies += 1 + self.pick(3)
        for _ in range(copies):
            delay = self._rng.uniform(0.2, 8.0)
            if delayed is not None and self.chance(delayed.much):
                self.count(f.DELAYED)
                delay += self._rng.choice((self._rng.uniform(0, 60), self._rng.uniform(0, HOUR)))
            self.agenda.at(self.now + delay, lambda: self._post(hint, 1))

    def _post(self, hint: Hint, tries: int) -> None:
        """The directory posts one notification; what is not answered with 202 is posted again."""
        process = self._free()
        status = [503]
        if process is not None:
            process.app.intake.hints = (hint,)  # type: ignore[attr-defined]  # the intake of tests
            app = process.app

            def work() -> None:
                status[0] = app.accept(b"{}").status

            def done(error: BaseException | None) -> None:
                if (error is not None or status[0] != 202) and tries < 30:
                    self.agenda.at(self.now + min(5.0 * 2**tries, 600), lambda: self._post(hint, tries + 1))

            self._start(process, work, done)
        else:
            self.agenda.at(self.now + 1.0, lambda: self._post(hint, tries))

    def desk_tells(self, ticket: str) -> None:
        """The desk's webhook names a ticket; it is posted once."""
        process = self._free()
        if process is not None:
            app = process.app
            self._start(process, lambda: _forget(app.answers.hint([ticket])), lambda error: None)

    # --- faults ---

    def _begin(self, fault: Fault) -> None:
        self._say(f"fault {fault.kind} {fault.asks} n={fault.n} much={fault.much:.1f} lasts={fault.lasts:.1f}")
        match fault.kind:
            case f.LOST_REQUEST | f.LOST_RESPONSE | f.LANDS_LATE | f.COMMIT_REPLY_LOST | f.STORE_BLIP | f.CRASH | f.STALL:
                self.weather.arm(fault)
                return
            case f.LINKS_EXPIRE:
                self.count(fault.kind)
                self.fresh.expire_links()
                self.late.expire_links()
                return
            case f.UNSUBSCRIBED:
                self._subscribed = False
                return
            case f.FORGED:
                self.count(fault.kind)
                self._notify(Hint(genuine=self.chance(0.5), about="person", id=f"nobody-{fault.n}"))
                return
        self.weather.open(fault)
        self.agenda.at(fault.end, lambda: self._end(fault))
        match fault.kind:
            case f.STORE_DOWN:
                self.store.unavailable = True
            case f.INDEX_LAG:
                self.desk.index_lag = self.desk.search_lag * fault.much
            case f.CLOCK_JUMP:
                self._process_clock.error = timedelta(seconds=fault.much)
            case f.PAUSED:
                self._operate(lambda app: app.pauses.pause("*", "the simulation"), unless=lambda: not self.weather.window(f.PAUSED))
        if fault.kind in (f.STORE_DOWN, f.INDEX_LAG, f.CLOCK_JUMP, f.PAUSED):
            self.count(fault.kind)

    def _end(self, fault: Fault) -> None:
        self._say(f"over {fault.kind}")
        self.weather.close(fault)
        still = self.weather.window(fault.kind)
        match fault.kind:
            case f.STORE_DOWN:
                self.store.unavailable = still is not None
            case f.INDEX_LAG:
                self.desk.index_lag = self.desk.search_lag * (still.much if still else 0)
            case f.CLOCK_JUMP:
                self._process_clock.error = timedelta(seconds=still.much if still else 0)
            case f.PAUSED if still is None:
                self._operate(lambda app: app.pauses.resume("*"))

    def _operate(self, act: Callable[[App], object], *, unless: Callable[[], bool] = lambda: False) -> None:
        """An operator's command; who meets a store that does not answer tries again."""

        def attempt() -> None:
            try:
                if not unless():
                    act(self._operator)
            except StoreUnavailable:
                self.agenda.at(self.now + 20, attempt)

        attempt()

    # --- the run ---

    def run(self) -> Outcome:
        """The story with its faults, then rest, then what there is."""
        weather, self.weather = self.weather, Weather()
        self._operator = self._boot(OPERATOR)
        self._until = self.history.story.length + REST_MAX
        for character in self.history.story.people:
            for act in character.acts:
                if act.at < 0:
                    self._apply(self.fresh, character.id, act)
                    self._apply(self.late, character.id, act)
                    self._settle_in(character, act)
                else:
                    self.agenda.at(act.at, lambda character=character, act=act: self._happens(character, act))  # type: ignore[misc]
        users = {user.id: user.active for user in self.desk.users}
        agents = {agent.id: (agent.enabled, agent.roles) for agent in self.desk.agents}
        self.weather = weather
        for fault in self.history.faults:
            self.agenda.at(fault.at, lambda fault=fault: self._begin(fault))  # type: ignore[misc]
        for turn in range(int(self._until // (6 * HOUR)) + 1):
            self.agenda.at(turn * 6 * HOUR, lambda: self._run_timer("renews", lambda app: app.renew_subscriptions()))
        try:
            self._run_until(self.history.story.length)
            self._calm()
            rested = self._rest()
        finally:
            for process in self._processes:
                if process.task is not None:
                    process.task.kill()
        counts = self.engine.counts()
        return Outcome(
            history=self.history,
            policy=self.policy,
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
            said=self.managers.said,
            trace=self.trace or [],
        )

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

    def _calm(self) -> None:
        """No more faults."""
        self._say("calm")
        for fault in self.weather.clear():
            self._end(replace(fault))
        self.store.unavailable = False
        self._subscribed = True

    def _rest(self) -> bool:
        """Wait until nothing is left to do; False if that never comes."""
        end = self.now + REST_MAX
        # A run of somebody who is none of our business any more is held, and asks every hour whether they are again.
        held = {one.id for one in self.history.story.people if is_left_alone(one, end)}
        while self.now < end:
            self._run_until(min(self.now + 30 * MINUTE, end))
            busy = any(process.task is not None for process in self._processes)
            if not busy and not self.engine.counts().active and self.store.awaited() <= {f"{TENANT}|person:{one}" for one in held}:
                break
        else:
            return False
        # Once more around, so that the sweep tidies what is old by now.
        self._run_until(self.now + 20 * MINUTE)
        self._processes[0].app.sweep()
        self._run_until(self.now + 10 * MINUTE)
        return not self.engine.counts().active


class _Subscriptions(MemorySubscriptions):
    """Standing orders that may lapse until somebody renews them."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation.clock)
        self._simulation = simulation

    def ensure(self, **asked: Any) -> Any:
        """From now on notifications come again."""
        self._simulation._subscribed = True
        return super().ensure(**asked)


def _nothing() -> None:
    pass


def _forget(_: object) -> None:
    pass
