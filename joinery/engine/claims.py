"""The steps that one execution of a recipe asks for: each name once, with the meaning that it had when the run began; and what stopped it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn, TypeVar

from joinery.domain.tickets import Order
from joinery.engine.asking import part
from joinery.engine.journal import VALUE, Run, Step
from joinery.engine.partition import Partition
from joinery.errors import JoineryError, Waiting

V = TypeVar("V")

#: Ending a run moves all its steps in one commit of at most 100 rows.
STEPS_MAX = 40


class RecipeError(JoineryError):
    """The recipe broke a rule of the journal; the run fails with this reason."""


class StepGivenUp(JoineryError):
    """A step that the recipe cannot do without was given up; the run fails."""


class Claims:
    """One execution's, over the steps that the journal holds for its run."""

    def __init__(self, partition: Partition, run: Run) -> None:
        self._partition = partition
        self._run = run
        #: Names in the order in which the recipe asked for them in this execution.
        self.asked: list[str] = []
        #: What stopped this execution. The runner looks here, in case the recipe swallowed it.
        self.interruption: BaseException | None = None

    @property
    def steps(self) -> Mapping[str, Step]:
        """What the journal holds for the run, by name."""
        return self._partition.steps.get(self._run.seq, {})

    def not_asked(self) -> tuple[str, ...]:
        """Steps in the journal that this execution has not asked for, in the order in which they began."""
        return tuple(step.name for step in sorted(self.steps.values(), key=lambda step: step.n) if step.name not in self.asked)

    def claim(self, name: str, order: Order | None, *, asks: str = VALUE) -> str:
        """Take the name for this execution; without an order it is for what ``asks`` says. Raises RecipeError, or what stopped it before."""
        if self.interruption is not None:
            # The recipe caught what was meant for the runner and went on: nothing may follow.
            raise self.interruption
        asks = type(order).__name__ if order else asks
        if name in self.asked:
            self.stop(RecipeError(f"two steps are called {name!r}; a name is what a step is remembered by"))
        self.asked.append(name)
        if len(self.asked) > STEPS_MAX:
            self.stop(RecipeError(f"the recipe asks for more than {STEPS_MAX} steps; a run has to fit into one commit"))
        known = self.steps.get(name)
        if known is not None and known.asks != asks:
            self.stop(RecipeError(f"step {name!r} was {known.asks} when the run began and is {asks} now; a new meaning needs a new name"))
        if known is None and order is not None and order.creates and self._run.mode == "live":
            # Under another name it would be made a second time. A rehearsal makes nothing, and what it plans follows what others do meanwhile.
            renamed = next((old for old in self.not_asked() if self.steps[old].asks == asks), None)
            if renamed:
                why = f"step {name!r} stands where {renamed!r} was; a renamed step needs a new version of the recipe"
                self.stop(RecipeError(why))
        return name

    def opened(self, name: str, *, asks: str) -> Step:
        """Take the name for what ``asks`` says; returns its step as the journal holds it, or a new one."""
        self.claim(name, None, asks=asks)
        return self.steps.get(name) or Step(n=len(self.steps) + 1, name=name, asks=asks)

    def claim_parts(self, question: str) -> None:
        """What a question did on the desk so far was asked for with it."""
        self.asked.extend(name for name in self.steps if name.startswith(part(question, "")) and name not in self.asked)

    def interruptible(self, act: Callable[[], V]) -> V:
        """Do it; what it raises on purpose stops this execution."""
        try:
            return act()
        except (JoineryError, Waiting) as stop:
            self.stop(stop)

    def stop(self, stop: BaseException) -> NoReturn:
        """This execution ends here, whatever the recipe catches."""
        self.interruption = stop
        raise stop
