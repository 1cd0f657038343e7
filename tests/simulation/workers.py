"""The worker processes: each an App of its own, which may die in any call, stand still, and start anew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from adapters.queues.messages import SessionLock
from joinery.app import App
from joinery.assembly import Ports, assemble
from joinery.engine.memory import SeededRandomness
from joinery.engine.retry import EngineTiming
from joinery.engine.standing_orders import SubscriptionUrls
from joinery.errors import JoineryError, LockLost
from joinery.testing import DEPLOYMENT, TENANT, MemoryIntake, MemorySubscriptions
from tests.simulation import faults as f
from tests.simulation.ports import gated_desk, gated_directory, gated_queue, gated_store
from tests.simulation.records import Process
from tests.simulation.scheduler import Crash, Task
from workflows import CATALOGUE

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

#: The operator's command is a process too, but none that dies in these stories.
OPERATOR = "operator"


class Workers:
    """Two of them, and whoever is free works."""

    def __init__(self, simulation: Simulation, timing: EngineTiming) -> None:
        self._simulation = simulation
        self._timing = timing
        self._current: Task | None = None
        self._frozen = True
        self.all: list[Process] = []
        #: When which process started with which of the theme's rules.
        self.booted: list[tuple[float, str, int]] = []

    def begin(self) -> None:
        """Start them."""
        self.all = [Process(name=name, app=self._start_anew(name)) for name in ("alpha", "beta")]

    @property
    def are_up_to_date(self) -> bool:
        """Whether everybody runs with the present policy file."""
        return all(process.rules == self._simulation.edition for process in self.all)

    def deploy(self) -> None:
        """There is another policy file: each of them starts anew with it, when it has nothing in hand, within a minute mostly."""
        simulation = self._simulation
        for process in self.all:
            simulation.agenda.at(simulation.now + simulation.uniform(0, 60), lambda process=process: self._replace(process))  # type: ignore[misc]

    def _replace(self, process: Process) -> None:
        simulation = self._simulation
        if process.rules == simulation.edition:
            return
        if process.task is not None:
            simulation.agenda.at(simulation.now + 1.0, lambda: self._replace(process))
            return
        process.app, process.rules = self._start_anew(process.name), simulation.edition
        process.free_at = simulation.now + simulation.uniform(0.5, 5)
        simulation.agenda.at(process.free_at, _nothing)

    def _start_anew(self, name: str) -> App:
        simulation = self._simulation
        self.booted.append((simulation.now, name, simulation.edition))
        return self.boot(name)

    def boot(self, name: str) -> App:
        """A new process."""
        simulation = self._simulation
        ports = Ports(
            clock=simulation.process_clock,
            randomness=SeededRandomness(simulation.rng.getrandbits(64)),
            store=gated_store(simulation, name),
            queue=gated_queue(simulation, name),
            directory=gated_directory(simulation, name),
            desk=gated_desk(simulation, name),
            subscriptions=_Subscriptions(simulation),
            intake=MemoryIntake(),
            seals=simulation.seals,
        )
        return assemble(
            ports,
            policy=simulation.policy,
            catalogue=CATALOGUE,
            urls=SubscriptionUrls(notification_url="n", lifecycle_url="l", client_state="s", fingerprint="f"),
            tenant=TENANT,
            deployment=DEPLOYMENT,
            timing=self._timing,
        )

    def gate(self, worker: str, name: str, *, after: bool = False) -> None:
        """Every call of a process passes here, before it and after it: it may be the last, or take long."""
        simulation = self._simulation
        if simulation.trace is not None:
            simulation.say(f"{worker} {'after ' if after else ''}{name}")
        weather = simulation.weather
        if worker == OPERATOR:
            return
        if weather.armed(f.CRASH):
            crash = weather.strikes(f.CRASH, name)
            if crash is not None:
                simulation.say(f"{worker} dies {'after' if after else 'before'} {name}")
                raise Crash(f"{worker} died {'after' if after else 'before'} {name}")
        task = self._current
        if task is not None and weather.armed(f.STALL):
            stall = weather.strikes(f.STALL, name)
            if stall is not None:
                simulation.say(f"{worker} stands still for {stall.much:.1f} s {'after' if after else 'before'} {name}")
                self._frozen = stall.hard
                task.pause(stall.much)

    def start(self, process: Process, work: Callable[[], None], done: Callable[[BaseException | None], None], lock: Any = None) -> None:
        """Have it done; ``done`` hears how it ended, which may be much later."""
        if not self._simulation.weather.armed(f.STALL):
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
        simulation = self._simulation
        simulation.agenda.at(simulation.now + task.wants, lambda: self._continue(process, task, done, lock))
        if lock is not None and not self._frozen:
            # A slow call: the host keeps the lock while it waits, for five minutes at most.
            for turn in range(1, int(min(task.wants, 300) // 15) + 1):
                simulation.agenda.at(simulation.now + 15 * turn, lambda: self._renew(lock))

    def _renew(self, lock: SessionLock) -> None:
        with contextlib.suppress(LockLost):
            self._simulation.engine.renew_session(lock)

    def _ended(self, process: Process, error: BaseException | None, done: Callable[[BaseException | None], None]) -> None:
        if isinstance(error, Crash):
            simulation = self._simulation
            process.app, process.rules = self._start_anew(process.name), simulation.edition
            process.free_at = simulation.now + 1.0 + simulation.uniform(0, 4)
            simulation.agenda.at(process.free_at, _nothing)
        elif error is not None and not isinstance(error, JoineryError):
            raise error
        done(error)

    def free(self) -> Process | None:
        """One that has nothing to do, if there is one."""
        simulation = self._simulation
        free = [process for process in self.all if process.task is None and process.free_at <= simulation.now]
        return simulation.rng.choice(free) if free else None

    @property
    def busy(self) -> bool:
        """Whether one of them is in the middle of something."""
        return any(process.task is not None for process in self.all)

    def kill(self) -> None:
        """The simulation is over."""
        for process in self.all:
            if process.task is not None:
                process.task.kill()


class _Subscriptions(MemorySubscriptions):
    """Standing orders that may lapse until somebody renews them."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation.clock)
        self._simulation = simulation

    def ensure(self, **asked: Any) -> Any:
        """From now on notifications come again."""
        self._simulation.news.subscribed = True
        return super().ensure(**asked)


def _nothing() -> None:
    pass
