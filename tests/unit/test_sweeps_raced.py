"""Two sweepers on one delta link, in every order of their sends and stores, dying wherever they like: no change is skipped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from joinery.engine.envelope import decode
from joinery.errors import TryLater
from joinery.testing import World, person

PEOPLE = [f"p{number}" for number in range(6)]
NOBODY_FAILS = 10_000


class Died(BaseException):
    """The process is gone."""


class Sweeping(threading.Thread):
    """A sweeper in a process of its own, which goes on one call at a time; it dies before or after its n-th."""

    def __init__(self, world: World, *, dies_at: int, after: bool) -> None:
        super().__init__(daemon=True)
        self._dies_at, self._after = dies_at, after
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._calls = 0
        self.ended = False
        sweeper = world.app.sweeper
        self._sweeper = replace(
            sweeper,
            store=_Gated(sweeper.store, self._gate, ("read_shared", "replace_shared")),
            queue=_Gated(sweeper.queue, self._gate, ("send",)),
            directory=_Gated(sweeper.directory, self._gate, ("people_delta", "groups_delta")),
        )
        self.start()

    def run(self) -> None:
        self._turn.acquire()
        try:
            self._sweeper.sweep()
        except (Died, TryLater):
            # A link that expired twice in one sweep ends it too: the next one begins anew.
            pass
        finally:
            self.ended = True
            self._done.release()

    def go_on(self) -> None:
        """One call further."""
        if not self.ended:
            self._turn.release()
            self._done.acquire()

    def _gate(self, act: Callable[[], Any]) -> Any:
        self._done.release()
        self._turn.acquire()
        self._calls += 1
        if self._calls == self._dies_at and not self._after:
            raise Died
        result = act()
        if self._calls == self._dies_at:
            raise Died
        return result


class _Gated:
    """A port that asks for its turn before the named methods."""

    def __init__(self, inner: Any, gate: Callable[[Callable[[], Any]], Any], names: tuple[str, ...]) -> None:
        self._inner, self._gate, self._names = inner, gate, names

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self._names:
            return method
        return lambda *given, **named: self._gate(lambda: method(*given, **named))


# 0 and 1: that sweeper goes on; 2: somebody changes; 3: links expire, and with them goes the only trace of somebody who was there; 4 and 5:
# that sweeper begins anew.
_TURNS = st.lists(st.sampled_from([0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5]), min_size=5, max_size=80)
_DEATHS = st.lists(st.tuples(st.one_of(st.just(NOBODY_FAILS), st.integers(1, 14)), st.booleans()), min_size=1, max_size=8)


@settings(max_examples=250, deadline=None)
@given(turns=_TURNS, deaths=_DEATHS)
def test_whoever_changed_gets_a_look_after_the_change_however_two_sweepers_race_and_die(
    turns: list[int], deaths: list[tuple[int, bool]]
) -> None:
    world = World()
    world.directory._page_size = 2
    gone = ["q0", "q1", "q2"]
    for name in PEOPLE + gone:
        world.put(person(name))
    world.app.sweep()
    world.work()
    changed: dict[str, int] = {}
    fates = iter(deaths * 100)

    def begin() -> Sweeping:
        dies_at, after = next(fates)
        return Sweeping(world, dies_at=dies_at, after=after)

    sweepers = [begin(), begin()]
    for number, turn in enumerate(turns):
        if turn in (0, 1):
            sweepers[turn].go_on()
        elif turn == 2:
            name = PEOPLE[number % len(PEOPLE)]
            world.directory.change(name, department=f"D{number}")
            changed[name] = len(world.queue.sent)
        elif turn == 3:
            if gone:
                changed[gone[0]] = len(world.queue.sent)
                world.directory.purge(gone.pop(0))
            world.directory.expire_links()
        elif sweepers[turn - 4].ended:
            sweepers[turn - 4] = begin()
    while not all(sweeper.ended for sweeper in sweepers):
        for sweeper in sweepers:
            sweeper.go_on()
    # The first one may end a round that began before somebody changed, and that a sweeper left in the middle; the second begins after it.
    world.app.sweep()
    world.app.sweep()
    for name, since in changed.items():
        looks = [decode(message.body).subject for message in world.queue.sent[since:]]
        assert f"person:{name}" in looks, name
