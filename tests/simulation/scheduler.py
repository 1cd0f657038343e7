"""What happens next: an agenda in simulated time, and tasks that can stop in mid-call and go on when the agenda says so.

Exactly one thread runs at any moment: whoever holds the baton. So threads bring no chance of their own.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable


class Crash(BaseException):
    """The process is gone: nothing of the engine may catch this."""


def in_micros(moment: float) -> float:
    """To the microsecond."""
    return round(moment * 1e6) / 1e6


class Agenda:
    """What is to happen when; things for one moment in the order in which they were entered."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Enter an act."""
        self._count += 1
        heapq.heappush(self._heap, (in_micros(moment), self._count, act))

    def next(self) -> float | None:
        """The earliest moment that is entered."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Callable[[], None] | None:
        """Take out one act that is due."""
        return heapq.heappop(self._heap)[2] if self._heap and self._heap[0][0] <= now else None


class Task:
    """A piece of work in a thread of its own, which runs only between ``resume`` and its next ``pause``."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._go, self._stopped = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._stopped.acquire()
        self._killed = False
        #: For how many seconds it wants to stand still; meaningless once it is finished.
        self.wants = 0.0
        self.finished = False
        #: What it died of; None: it ended well.
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._killed:
                self._work()
        except BaseException as error:
            self.error = error
        self.finished = True
        self._stopped.release()

    def resume(self) -> None:
        """Hand over the baton until it pauses or is finished."""
        self._go.release()
        self._stopped.acquire()

    def pause(self, seconds: float) -> None:
        """Called from inside: stand still."""
        self.wants = seconds
        self._stopped.release()
        self._go.acquire()
        if self._killed:
            raise Crash("the simulation is over")

    def kill(self) -> None:
        """End it where it stands."""
        self._killed = True
        while not self.finished:
            self.resume()
        self._thread.join()
