"""What happens in the directory, and how the news of it travels: twice, late, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joinery.domain.person import Person
from joinery.engine.intake import Hint
from joinery.engine.memory_directory import MemoryDirectory
from tests.simulation import faults as f
from tests.simulation.cutting import welcome
from tests.simulation.story import HOUR, MANAGERS, Act, Character

if TYPE_CHECKING:
    from tests.simulation.world import Simulation


class News:
    """HR acts, two replicas follow, and notifications are posted."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        #: Whether the directory posts anything.
        self.subscribed = True
        #: Until then one replica lags behind.
        self.late_until = 0.0

    def happens(self, character: Character, act: Act) -> None:
        """HR does it now."""
        simulation = self._simulation
        simulation.say(f"{character.id} {act.what} {act.group}")
        self.apply(simulation.fresh, character.id, act)
        stale = simulation.weather.window(f.STALE)
        lag = simulation.uniform(0, stale.much) if stale is not None and simulation.weather.has(f.STALE) else 0.0
        # One replica takes all changes in their order.
        moment = self.late_until = max(simulation.now + lag, self.late_until)
        if moment <= simulation.now:
            self.apply(simulation.late, character.id, act)
        else:
            simulation.agenda.at(moment, lambda: self.apply(simulation.late, character.id, act))
        groups = act.group.split(",") if act.group else []
        if character.id in MANAGERS:
            simulation.managers.leaves(character.id)
        if act.what not in ("enter", "exit"):
            self.notify(Hint(genuine=True, about="person", id=character.id))
        for group in groups:
            self.notify(Hint(genuine=True, about="group", id=f"g-{group}".lower(), members=(character.id,)))

    def apply(self, directory: MemoryDirectory, identity: str, act: Act) -> None:
        """One act, in one replica."""
        match act.what:
            case "create":
                directory.put(Person(id=identity, **dict(act.fields)))
                for group in filter(None, act.group.split(",")):
                    directory.add_member(f"g-{group}".lower(), identity)
                if self._simulation.theme.cut_off:
                    welcome(directory, identity)
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

    def notify(self, hint: Hint) -> None:
        """The directory tells; it gets through, or not."""
        simulation = self._simulation
        weather = simulation.weather
        if not self.subscribed:
            simulation.count(f.UNSUBSCRIBED)
            return
        dropped, doubled, delayed = (weather.window(kind) for kind in (f.DROPPED, f.DOUBLED, f.DELAYED))
        if dropped is not None and simulation.chance(dropped.much):
            simulation.count(f.DROPPED)
            return
        copies = 1
        if doubled is not None and simulation.chance(doubled.much):
            simulation.count(f.DOUBLED)
            copies += 1 + simulation.pick(3)
        for _ in range(copies):
            delay = simulation.uniform(0.2, 8.0)
            if delayed is not None and simulation.chance(delayed.much):
                simulation.count(f.DELAYED)
                delay += simulation.rng.choice((simulation.uniform(0, 60), simulation.uniform(0, HOUR)))
            simulation.agenda.at(simulation.now + delay, lambda: self._post(hint, 1))

    def _post(self, hint: Hint, tries: int) -> None:
        """The directory posts one notification; what is not answered with 202 is posted again."""
        simulation = self._simulation
        process = simulation.workers.free()
        status = [503]
        if process is not None:
            process.app.intake.hints = (hint,)  # type: ignore[attr-defined]  # the intake of tests
            app = process.app

            def work() -> None:
                status[0] = app.accept(b"{}").status

            def done(error: BaseException | None) -> None:
                if (error is not None or status[0] != 202) and tries < 30:
                    simulation.agenda.at(simulation.now + min(5.0 * 2**tries, 600), lambda: self._post(hint, tries + 1))

            simulation.workers.start(process, work, done)
        else:
            simulation.agenda.at(simulation.now + 1.0, lambda: self._post(hint, tries))

    def desk_tells(self, ticket: str) -> None:
        """The desk's webhook names a ticket; it is posted once."""
        simulation = self._simulation
        process = simulation.workers.free()
        if process is not None:
            app = process.app
            simulation.workers.start(process, lambda: _forget(app.answers.hint([ticket])), lambda error: None)


def _forget(_: object) -> None:
    pass
