"""A world that dies at its n-th touch of anything outside, loses its memory, and gets the message again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.stores.sqlite import SqliteStateStore
from joinery.testing import World


class Crash(BaseException):
    """The process is gone: nothing of ours may catch this."""


@dataclass(kw_only=True)
class Plan:
    """At which touch to die, before or after it; None: never."""

    at: int | None = None
    after: bool = False
    touches: int = 0
    died_at: str = ""

    def around(self, name: str, act: Callable[[], Any]) -> Any:
        """Do it, and die if this is the one."""
        self.touches += 1
        mine = self.touches == self.at
        if mine and not self.after:
            self.died_at = f"before {name}"
            raise Crash(self.died_at)
        try:
            result = act()
        except Exception:
            if mine:
                self.died_at = f"after {name}"
                raise Crash(self.died_at) from None
            raise
        if mine:
            self.died_at = f"after {name}"
            raise Crash(self.died_at)
        return result


class Fragile:
    """Stands before a port; touches of these methods may be the last."""

    def __init__(self, inner: Any, plan: Plan, *methods: str) -> None:
        self._inner, self._plan, self._methods = inner, plan, methods

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in self._methods:
            return value
        return lambda *args, **kwargs: self._plan.around(name, lambda: value(*args, **kwargs))


#: What a crash may come beside, in the store.
_TOUCHED = ("commit", "put_index", "delete_index", "replace_shared")
#: And in the directory.
_ASKED = (
    *("look", "people_in", "people_among", "reports_of", "group_traits", "remove_member"),
    *("groups_of", "sessions_valid_from", "revoke_sessions"),
)


class CrashingWorld(World):
    """A World in which every commit, index write, outside call and send can be the last of its process.

    With a ``file`` the store is that file, and every process opens it anew.
    """

    minutes_from_tick_to_tick = 1

    def __init__(self, plan: Plan, file: Path | None = None) -> None:
        super().__init__(store=SqliteStateStore(file) if file else None)
        self.plan = plan
        self.file = file
        self.whole_store = self.store
        self.store = Fragile(self.store, plan, *_TOUCHED)
        self.desk = Fragile(self.desk, plan, "find", "find_similar", "perform", "read_back", "ticket_state", "awaiting")  # type: ignore[assignment]  # same shape
        self.directory = Fragile(self.directory, plan, *_ASKED)  # type: ignore[assignment]  # same shape
        self.plain_queue = self.queue
        self.queue = Fragile(self.queue, plan, "send")  # type: ignore[assignment]  # same shape
        self.restart()

    def after_a_crash(self) -> None:
        """Another process."""
        if self.file is not None:
            self.whole_store.close()
            self.whole_store = SqliteStateStore(self.file)
            self.store = Fragile(self.whole_store, self.plan, *_TOUCHED)
        self.restart()

    def queue_up(self, *args: Any, **kwargs: Any) -> None:
        """What others put into the queue does not crash us."""
        fragile, self.queue = self.queue, self.plain_queue
        try:
            super().queue_up(*args, **kwargs)
        finally:
            self.queue = fragile

    def work(self, *, at_most: int = 10_000) -> int:
        """Handle what is due; a message whose handler died comes again, before those that came after it."""
        handled = 0
        while messages := self.queue.receive_due():
            while messages:
                try:
                    self.app.handle(messages[0].body)
                except Crash:
                    self.after_a_crash()
                    continue
                messages.pop(0)
                handled += 1
                assert handled < at_most, "something sends itself messages for ever"
        return handled

    def tick(self) -> None:
        """The timer of every minute; it is not repeated when it dies."""
        try:
            self.app.tick()
        except Crash:
            self.after_a_crash()

    def minutes(self, count: int) -> None:
        """Time passes, with a tick every minute, or where each costs much, every so many."""
        for minute in range(1, count + 1):
            self.pass_time(minutes=1)
            if minute % self.minutes_from_tick_to_tick == 0:
                self.tick()
        self.work()


def every_crash(story: Callable[[CrashingWorld], None], folder: Path | None = None, *, every: int = 1) -> list[CrashingWorld]:
    """The story without a crash first, then once for every touch, before and after it; in memory, or each on a file in ``folder``.

    ``every`` takes each n-th of those deaths.
    """

    def told(plan: Plan, name: str) -> CrashingWorld:
        world = CrashingWorld(plan, folder / name if folder else None)
        story(world)
        return world

    whole = told(Plan(), "whole.db")
    worlds = [whole]
    deaths = [(at, after) for at in range(1, whole.plan.touches + 1) for after in (False, True)]
    for at, after in deaths[::every]:
        world = told(Plan(at=at, after=after), f"{at}-{after}.db")
        assert world.plan.died_at, at
        worlds.append(world)
    return worlds
