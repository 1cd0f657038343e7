"""Faults begin and end, and an operator presses pause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from joinery.app import App
from joinery.engine.intake import Hint
from joinery.errors import StoreUnavailable
from tests.simulation import faults as f
from tests.simulation.faults import Fault

if TYPE_CHECKING:
    from tests.simulation.world import Simulation


class Troubles:
    """What goes wrong in one history. ``operator``: the app of whoever works at the command."""

    def __init__(self, simulation: Simulation, operator: App) -> None:
        self._simulation = simulation
        self._operator = operator

    def begin(self, fault: Fault) -> None:
        """It goes wrong from now on."""
        simulation = self._simulation
        simulation.say(f"fault {fault.kind} {fault.asks} n={fault.n} much={fault.much:.1f} lasts={fault.lasts:.1f}")
        match fault.kind:
            case f.LOST_REQUEST | f.LOST_RESPONSE | f.LANDS_LATE | f.COMMIT_REPLY_LOST | f.STORE_BLIP | f.CRASH | f.STALL:
                simulation.weather.arm(fault)
                return
            case f.LINKS_EXPIRE:
                simulation.count(fault.kind)
                simulation.fresh.expire_links()
                simulation.late.expire_links()
                return
            case f.UNSUBSCRIBED:
                simulation.news.subscribed = False
                return
            case f.FORGED:
                simulation.count(fault.kind)
                simulation.news.notify(Hint(genuine=simulation.chance(0.5), about="person", id=f"nobody-{fault.n}"))
                return
        simulation.weather.open(fault)
        simulation.agenda.at(fault.end, lambda: self.end(fault))
        match fault.kind:
            case f.STORE_DOWN:
                simulation.store.unavailable = True
            case f.INDEX_LAG:
                simulation.desk.index_lag = simulation.desk.search_lag * fault.much
            case f.CLOCK_JUMP:
                simulation.process_clock.error = timedelta(seconds=fault.much)
            case f.PAUSED:
                self.operate(lambda app: app.pauses.pause("*", "the simulation"), unless=lambda: not simulation.weather.window(f.PAUSED))
        if fault.kind in (f.STORE_DOWN, f.INDEX_LAG, f.CLOCK_JUMP, f.PAUSED):
            simulation.count(fault.kind)

    def end(self, fault: Fault) -> None:
        """It is over."""
        simulation = self._simulation
        simulation.say(f"over {fault.kind}")
        simulation.weather.close(fault)
        still = simulation.weather.window(fault.kind)
        match fault.kind:
            case f.STORE_DOWN:
                simulation.store.unavailable = still is not None
            case f.INDEX_LAG:
                simulation.desk.index_lag = simulation.desk.search_lag * (still.much if still else 0)
            case f.CLOCK_JUMP:
                simulation.process_clock.error = timedelta(seconds=still.much if still else 0)
            case f.PAUSED if still is None:
                self.operate(lambda app: app.pauses.resume("*"))

    def operate(self, act: Callable[[App], object], *, unless: Callable[[], bool] = lambda: False) -> None:
        """An operator's command; who meets a store that does not answer tries again."""

        def attempt() -> None:
            try:
                if not unless():
                    act(self._operator)
            except StoreUnavailable:
                self._simulation.agenda.at(self._simulation.now + 20, attempt)

        attempt()

    def calm(self) -> None:
        """No more faults."""
        simulation = self._simulation
        simulation.say("calm")
        for fault in simulation.weather.clear():
            self.end(replace(fault))
        simulation.store.unavailable = False
        simulation.news.subscribed = True
