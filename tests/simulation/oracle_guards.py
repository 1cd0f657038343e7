"""What must be true of rings, policy edits and waves: from HR's story, what the policy files say, and what an operator saw and said.

Nobody outside of a ring is acted upon without a person's word; what a person said is done once, or not at all; a run has a cause in the
story, and an edited policy is none; never more than the limit begin without a word, and what is held is neither lost nor done.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.simulation import faults as f
from tests.simulation.expected import (
    ACTIVE,
    DELETED,
    DISABLED,
    GONE,
    JOINER,
    Stand,
    Stretch,
    blind_times,
    is_certain,
    is_left_alone,
    stretches,
)
from tests.simulation.journals import Memory, memory_of, moment
from tests.simulation.operating import APPLY, DISCARDED, DROPPED, LISTED, PROMOTED, RELEASED, SEEN_HELD, Word
from tests.simulation.story import DAY, HOUR, MINUTE, Character, scenes
from tests.simulation.theme import PILOT, URGENT, WORKFLOWS, Rules

if TYPE_CHECKING:
    from tests.simulation.records import Outcome

#: While nothing blinds anybody, whatever happens is decided on within so many seconds.
PROMPT = 20 * MINUTE
#: The breaker counts by the minute.
_AN_HOUR, _A_DAY = HOUR - 2 * MINUTE, DAY - 2 * MINUTE


def left_over(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """The books of what waits for a person must say what the heads say, and nothing of what is over."""
    alone = {f"local|person:{one.id}" for one in outcome.history.story.people if is_left_alone(one, outcome.ended_at)}
    heads = {name: rows.get("head", {}) for name, rows in outcome.partitions.items()}
    for name in outcome.indexes.get("held", {}).keys() - alone:
        if not heads.get(name, {}).get("held"):
            yield "lost", f"the book of what is held names {name}, who holds nothing"
    for name, head in heads.items():
        if head.get("held") and name not in outcome.indexes.get("held", {}):
            yield "lost", f"{name} is held, and the book does not say so: nobody can release it"
    for index in ("promoted", "wanted-looks"):
        for name in outcome.indexes.get(index, {}).keys() - alone:
            yield "lost", f"index {index} still has {name}"


def guarded(outcome: Outcome, character: Character, memory: Memory, ends: set[Stand]) -> Iterator[tuple[str, str]]:
    """``lost``, ``wrong`` or ``duplicated``, with a sentence."""
    theme = outcome.history.theme
    if not theme.kind:
        return
    told = _Told(outcome, character, memory, ends)
    if not told.jumped:
        yield from told.without_a_cause()
    match theme.kind:
        case "rings":
            if not told.jumped:
                yield from told.outside()
            for workflow in theme.rules.narrow:
                if workflow in ("joiner", "leaver") and told.stood_before(workflow, told.first_wide()):
                    yield from told.as_said(workflow, PROMOTED, DROPPED, waiting=memory.rehearses(workflow), alone_none=True)
        case "edit":
            yield from told.of_edits()
        case "wave":
            if not told.jumped:
                yield from told.too_many()
            for workflow in ("leaver", "mover"):
                if told.happened_once(workflow):
                    yield from told.as_said(workflow, RELEASED, DISCARDED, waiting=memory.holds(workflow), alone_none=False)


class _Told:
    """One person's part in it."""

    def __init__(self, outcome: Outcome, character: Character, memory: Memory, ends: set[Stand]) -> None:
        self._outcome = outcome
        self._character = character
        self._memory = memory
        self._ends = ends
        self._theme = outcome.history.theme
        self._scenes = scenes(character)
        self._stretches = stretches(character, outcome.ended_at)
        self._blind = blind_times(outcome.history.faults)
        self._words = [word for word in outcome.words if word.person in ("", character.id)]
        self.jumped = any(fault.kind == f.CLOCK_JUMP for fault in outcome.history.faults)

    # --- what happened when ---

    def _at(self, run: dict[str, Any]) -> float:
        return began(self._outcome, run)

    def _runs(self, workflow: str) -> list[dict[str, Any]]:
        return [run for run in self._memory.live if run["workflow"] == workflow]

    def _said(self, what: str, about: str, until: float = float("inf")) -> list[Word]:
        return [word for word in self._words if word.what == what and word.workflow == about and word.at <= until]

    def _free_time(self, start: float, end: float) -> float:
        """Seconds between the two in which nothing blinded anybody."""
        free, at = 0.0, start
        for begin, over in sorted(self._blind):
            if over <= at or begin >= end:
                continue
            free += max(begin - at, 0.0)
            at = max(at, over)
        return free + max(end - at, 0.0)

    def _in_use(self, at: float) -> set[int]:
        """Which of the theme's rules some process worked by in that moment."""
        last: dict[str, int] = {}
        found: set[int] = set()
        for moment_, process, edition in self._outcome.booted:
            if moment_ <= at - 0.01:
                last[process] = edition
            elif moment_ <= at + 0.01:
                found.add(edition)
        return found | set(last.values())

    def first_wide(self) -> float:
        """When the first process started that acts for more people than at first."""
        return min((at for at, _, edition in self._outcome.booted if edition), default=float("inf"))

    def _was_inside(self, rules: Rules, until: float) -> bool:
        people = [scene.person for scene in self._scenes if scene.start <= until and scene.person is not None]
        if rules.ring == "pilot":
            return any(PILOT in person.groups for person in people)
        return rules.ring == "departments" and any(person.department in rules.departments for person in people)

    # --- every theme ---

    def without_a_cause(self) -> Iterator[tuple[str, str]]:
        """A run that nothing in the story and nobody's word explains: another policy file is no reason, and neither is a wider ring."""
        for run in self._memory.live:
            if run["fact"].get("ended"):
                continue
            at = self._at(run)
            causes = [act.at for act in self._character.acts if act.at <= at + 0.01]
            causes += [word.at for word in self._words if word.at <= at and word.what in (APPLY, PROMOTED, RELEASED)]
            latest = max(max(causes, default=-1.0), 0.0)
            if self._free_time(latest, at) > PROMPT:
                yield "wrong", f"{self._name(run)} began at {at:.0f} s, and nothing had happened since {latest:.0f} s"

    def _name(self, run: dict[str, Any]) -> str:
        return f"{self._character.id}: {run['id']}"

    def as_said(self, workflow: str, go: str, stop: str, *, waiting: bool, alone_none: bool) -> Iterator[tuple[str, str]]:
        """What waited for a word, happened once, and still stands. ``alone_none``: without a word there is no run at all."""
        runs, who = len(self._runs(workflow)), f"{self._character.id}: {workflow}"
        goes, stops = self._said(go, workflow), self._said(stop, workflow)
        seen = self._said(SEEN_HELD, workflow)
        if runs > 1:
            yield "duplicated", f"{who} ran {runs} times, and happened once"
        elif goes and not stops and not runs:
            yield "lost", f"{who}: {go}, and did not run"
        elif stops and not goes and runs:
            yield "wrong", f"{who}: {stop}, and ran"
        elif not goes and not stops and runs and (alone_none or seen):
            yield "wrong", f"{who} waited for a word, nobody said it, and it ran"
        elif not goes and not stops and not runs and not waiting:
            yield "lost", f"{who} did not run, and waits for nobody"
        elif runs and waiting:
            yield "wrong", f"{who} ran, and waits for a word all the same"

    # --- rings ---

    def outside(self) -> Iterator[tuple[str, str]]:
        """Runs for somebody who was never inside by any of the rules in use, beyond what was promoted."""
        for workflow in WORKFLOWS:
            # One word about several groups may be several runs, which begin in one moment.
            beyond: set[str] = set()
            for run in self._runs(workflow):
                at = self._at(run)
                rules = [self._theme.all_rules[edition] for edition in self._in_use(at)]
                if any(workflow not in one.narrow or self._was_inside(one, at) for one in rules):
                    continue
                beyond.add(str(at))
                if len(beyond) > len(self._said(PROMOTED, workflow, at)):
                    yield "wrong", f"{self._name(run)} acted outside of its ring, and nobody had promoted it"

    def stood_before(self, workflow: str, wider: float) -> bool:
        """Whether the one fact of this kind in the story was seen while its ring was narrow, by somebody outside, and stands."""
        last = self._stretches[-1]
        hows = (JOINER,) if workflow == "joiner" else (DISABLED, DELETED, GONE)
        if last.how not in hows or self._was_inside(self._theme.rules, wider):
            return False
        rules = self._theme.all_rules
        if any(self._was_inside(one, float("inf")) for one in rules):
            return False
        start = next(one.start for one in self._stretches if one.how in hows)
        steady = all(one.how in hows for one in self._stretches if one.start >= start)
        once = {end.joins if workflow == "joiner" else end.leaves for end in self._ends} == {1}
        return steady and once and is_certain(Stretch(start, wider, last.how), self._blind)

    # --- policy edits ---

    def of_edits(self) -> Iterator[tuple[str, str]]:
        """A group that an edit adds gives nothing before it is applied, and then to whom the list named, once; one that it removes, nothing more."""
        applied = min((word.at for word in self._words if word.what == APPLY), default=float("inf"))
        before, after = (dict(rules.roles) for rules in (self._theme.all_rules[0], self._theme.all_rules[-1]))
        for group in after.keys() - before.keys():
            runs = [run for run in self._memory.live if group in run["fact"].get("gained", ())]
            early = [run for run in runs if not self.jumped and self._at(run) < applied - 0.01]
            for run in early if applied < float("inf") else runs:
                yield "wrong", f"{self._name(run)} began because of {group}, and nobody had applied the edit"
            settled = all(act.at < applied for act in self._character.acts) and self._stretches[-1].how in (JOINER, ACTIVE)
            if self._said(LISTED, group) and settled and len(runs) != 1:
                sort = "duplicated" if runs else "lost"
                yield sort, f"{self._character.id}: {len(runs)} runs, and the edit had listed one for {group}"
        for group in before.keys() - after.keys():
            for run in self._memory.live:
                if not self.jumped and group in run["fact"].get("gained", ()) and self._at(run) > self._all_replaced():
                    yield "wrong", f"{self._name(run)} began because of {group}, which stands for nothing any more"

    def _all_replaced(self) -> float:
        """When nobody worked by the first rules any more."""
        first = {process: at for at, process, edition in reversed(self._outcome.booted) if edition}
        return max(first.values(), default=float("inf")) if len(first) == 2 else float("inf")

    # --- waves ---

    def happened_once(self, workflow: str) -> bool:
        """Whether exactly one such thing happened, everybody must have understood it so, and it stands."""
        last = self._stretches[-1].how
        if workflow == "leaver":
            hows = (DISABLED, DELETED, GONE)
            start = next((one.start for one in self._stretches if one.how in hows), 0.0)
            steady = all(one.how in hows for one in self._stretches if one.start >= start)
            return last in hows and steady and {end.leaves for end in self._ends} == {1}
        acts = self._character.acts
        if len(acts) != 2 or acts[0].at >= 0 or acts[1].what != "change" or "department" not in dict(acts[1].fields):
            return False
        born = dict(acts[0].fields)
        if not born.get("department") or born.get("manager") is None:
            # What was empty is filled: soon after joining that completes it, and is no move.
            return False
        return last in (JOINER, ACTIVE) and is_certain(Stretch(0.0, acts[1].at, last), self._blind)

    def too_many(self) -> Iterator[tuple[str, str]]:
        """Runs that began without a word although as many had begun as may."""
        limits = self._theme.rules.limits
        if limits is None:
            return
        people = len(self._outcome.history.story.people)
        wave = max(limits.wave, int(limits.share * people))
        for run in self._memory.live:
            workflow, at = run["workflow"], self._at(run)
            if workflow not in ("leaver", "mover") or passes(self._outcome, self._character, workflow, at):
                continue
            spans = ((_AN_HOUR, limits.hourly), (_A_DAY, limits.daily)) if workflow == "leaver" else ((_AN_HOUR, wave),)
            for span, most in spans:
                # What a process that died had begun counts from its first try.
                start = at - span + self._blinded(at - span - HOUR, at)
                count = sum(start < one < at for one in begun(self._outcome, workflow, passed=False))
                # Whoever passed at nearly the same time may have come later: a run may begin some minutes after it was counted.
                count += sum(start < one < at - 5 * MINUTE for one in begun(self._outcome, workflow, passed=True))
                if count >= most:
                    yield (
                        "wrong",
                        f"{self._name(run)} began at {at:.0f} s, the {count + 1}th within {span:.0f} s; {most} may, and nobody had released it",
                    )

    def _blinded(self, start: float, end: float) -> float:
        return end - start - self._free_time(start, end)


def begun(outcome: Outcome, workflow: str, *, passed: bool) -> list[float]:
    """When the live runs of a workflow began, of everybody who passed the breaker, or of everybody else."""
    key = f"{workflow} {passed}"
    if key not in outcome.worked_out:
        people = {f"local|person:{one.id}": one for one in outcome.history.story.people}
        outcome.worked_out[key] = [
            at
            for name, rows in outcome.partitions.items()
            if name in people
            for run in memory_of(rows).live
            if run["workflow"] == workflow and passes(outcome, people[name], workflow, at := began(outcome, run)) is passed
        ]
    return outcome.worked_out[key]


def began(outcome: Outcome, run: dict[str, Any]) -> float:
    """Seconds since the story began."""
    return (moment(run["started_at"]) - outcome.start) / timedelta(seconds=1)


def passes(outcome: Outcome, character: Character, workflow: str, at: float) -> bool:
    """Whether the breaker had to let it through: somebody urgent, or a person's word."""
    urgent = any(scene.person is not None and URGENT in scene.person.groups for scene in scenes(character) if scene.start <= at)
    words = (word for word in outcome.words if word.person == character.id and word.workflow == workflow)
    return urgent or any(word.what == RELEASED and word.at <= at for word in words)
