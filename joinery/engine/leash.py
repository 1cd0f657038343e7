"""Keeps a recipe from computing for ever: one thread watches all recipes at work and stops the one that never asks for anything.

A recipe is ordinary code. Between two calls of its context it should take microseconds; one that loops would keep its session,
and with it a worker, for good. The watching thread raises ``RecipeStuck`` inside such a recipe (CPython's
``PyThreadState_SetAsyncExc``), and never while the engine has the word: a commit is not to be cut in two.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

#: How often the watching thread looks, in seconds.
_BEAT = 0.1


class RecipeStuck(BaseException):
    """Raised inside a recipe that took too long; BaseException, so that ``except Exception`` in it does not eat it."""


class Leash:
    """One recipe at work, on the thread that made this."""

    def __init__(self, limit: timedelta) -> None:
        self._thread = threading.get_ident()
        self._beats_max = max(1, round(limit.total_seconds() / _BEAT))
        self._beats = 0
        self._lock = threading.Lock()
        self._engine_speaks = False
        self._pulled = False

    @contextmanager
    def engine(self) -> Iterator[None]:
        """The engine has the word; raises RecipeStuck first if the recipe's time ended on the way here."""
        self._hand_over(engine=True)
        try:
            yield
        finally:
            self._hand_over(engine=False)

    @contextmanager
    def recipe(self) -> Iterator[None]:
        """Code of the recipe's runs on the engine's behalf."""
        self._hand_over(engine=False)
        try:
            yield
        finally:
            self._hand_over(engine=True)

    def _hand_over(self, *, engine: bool) -> None:
        with self._lock:
            self._engine_speaks = engine
            self._beats = 0
            pulled = self._pulled
        if pulled:
            # It may be on its way to this thread, and must arrive before anything is done.
            for _ in range(20):
                threading.Event().wait(0.001)

    def let_go(self) -> None:
        """The recipe has ended, well or not: nothing is raised any more, and what is on its way ends here."""
        with suppress(RecipeStuck):
            self._hand_over(engine=True)

    def beat(self) -> None:
        """Called by the watching thread."""
        with self._lock:
            if self._engine_speaks:
                return
            self._beats += 1
            if self._beats >= self._beats_max:
                # Again with every beat from now on: a recipe may catch it and go on.
                self._pulled = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(RecipeStuck))


class _Kennel:
    """All leashes of this process and the thread that watches them, which lives while there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leashes: set[Leash] = set()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, leash: Leash) -> None:
        with self._lock:
            self._leashes.add(leash)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="recipe-watch", daemon=True)
                self._thread.start()
        self._wanted.set()

    def let_go(self, leash: Leash) -> None:
        with self._lock:
            self._leashes.discard(leash)
            if not self._leashes:
                self._wanted.clear()

    def _watch(self) -> None:
        pause = threading.Event()
        while True:
            self._wanted.wait()
            pause.wait(_BEAT)
            with self._lock:
                leashes = tuple(self._leashes)
            for leash in leashes:
                leash.beat()


_kennel = _Kennel()


@contextmanager
def leash(limit: timedelta) -> Iterator[Leash]:
    """Watch what runs inside the block on this thread. Raises RecipeStuck where it took longer than ``limit`` at one go."""
    held = Leash(limit)
    _kennel.take(held)
    try:
        yield held
    finally:
        try:
            held.let_go()
        finally:
            _kennel.let_go(held)
