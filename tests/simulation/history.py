"""One seed, one history; run it, judge it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tests.simulation.faults import plan
from tests.simulation.oracle import judge
from tests.simulation.records import History, Outcome
from tests.simulation.story import invent
from tests.simulation.theme import dress
from tests.simulation.verdict import Verdict
from tests.simulation.world import Simulation, Storm

#: In such a share of the histories leavers are cut off in the directory.
_CUT_OFF = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of one history."""

    history: History
    verdict: Verdict
    outcome: Outcome | None

    @property
    def replay(self) -> str:
        """The one line that does it again."""
        return f"python -m tests.simulation --seed {self.history.seed} --people {self.history.people}"


def history_of(seed: int, people: int | None = None) -> History:
    """The history of a seed; ``people`` None lets the seed decide."""
    rng = random.Random(seed)
    count, tales, troubles = rng.randint(8, 15), rng.getrandbits(64), rng.getrandbits(64)
    told = invent(random.Random(tales), people or count)
    story, theme = dress(random.Random(rng.getrandbits(64)), told)
    # By a chance of its own: the story stays as it is.
    theme = replace(theme, cut_off=random.Random(f"cut off {seed}").random() < _CUT_OFF)
    return History(seed=seed, story=story, faults=plan(random.Random(troubles), story), theme=theme, people=people or count)


def live(history: History, *, tracing: bool = False) -> Result:
    """Run it and judge it; an exception of the engine's is a verdict too."""
    try:
        outcome = Simulation(history, tracing=tracing).run()
    except Storm as storm:
        return Result(history=history, verdict=Verdict(wrong=[str(storm)]), outcome=None)
    return Result(history=history, verdict=judge(outcome), outcome=outcome)
