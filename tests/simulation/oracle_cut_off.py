"""What must be true of the directory where policy cuts leavers off: from HR's story and from what reached the directory; nothing of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.simulation import faults as f
from tests.simulation.cutting import ALUMNI, OPEN, SHUT
from tests.simulation.expected import ALONE, DELETED, DISABLED, GONE, Stretch, stretches
from tests.simulation.journals import Memory, moment
from tests.simulation.story import Character

if TYPE_CHECKING:
    from tests.simulation.records import Outcome

#: Between the look and the call a process may stand still for so long, in seconds.
STALL_MAX = 400.0
#: How a step may end -> how the person must have stood by then. What the directory refuses for days is nobody's fault here: none does.
_STOOD = {"gone": (DELETED, GONE), "left alone": (ALONE,)}


def cut_off(outcome: Outcome, character: Character, memory: Memory) -> Iterator[tuple[str, str]]:
    """``lost``, ``wrong`` or ``duplicated`` with a sentence."""
    touches = [touch for touch in outcome.touches if touch.person == character.id]
    if not outcome.history.theme.cut_off:
        if touches:
            yield "wrong", f"{character.id}: was cut off, and policy does not say so"
        return
    told = stretches(character, outcome.ended_at)
    leaves = [run for run in memory.live if run["workflow"] == "leaver"]
    begun = [(moment(run["started_at"]) - outcome.start).total_seconds() for run in leaves]
    jumped = any(fault.kind == f.CLOCK_JUMP for fault in outcome.history.faults)
    stalls = STALL_MAX if any(fault.kind == f.STALL for fault in outcome.history.faults) else 0.0
    for touch in touches:
        if not any(one.how == DISABLED for one in _around(told, touch.at - f.LAG_MAX - stalls - 1.0, touch.at)):
            yield "wrong", f"{character.id}: was cut off at {touch.at:.0f}, and was not disabled then"
        if not jumped and not any(at <= touch.at for at in begun):
            yield "wrong", f"{character.id}: was cut off at {touch.at:.0f}, and no live leaver had begun"
        if touch.group in SHUT or touch.group == ALUMNI:
            yield "wrong", f"{character.id}: was taken out of {touch.group}, which is not ours to do"
    for run in leaves:
        if run["status"] == "verified":
            yield from _ended(outcome, character, memory, run, told, touches)


def _ended(
    outcome: Outcome, character: Character, memory: Memory, run: dict[str, Any], told: list[Stretch], touches: list[Any]
) -> Iterator[tuple[str, str]]:
    """One leaver that is over: both were done, or it says why not, and that is so."""
    steps = {step["asks"]: step for step in memory.steps.get(run["seq"], []) if step["asks"].startswith("cut-off")}
    if set(steps) != {"cut-off of sessions", "cut-off of groups"}:
        yield "lost", f"{character.id}: {run['id']} is verified and cut off {sorted(steps)} alone"
        return
    slack = timedelta(hours=1).total_seconds() if any(fault.kind == f.CLOCK_JUMP for fault in outcome.history.faults) else 0.0
    start, end = ((moment(run[name]) - outcome.start).total_seconds() for name in ("started_at", "closed_at"))
    start, end = start - slack - f.LAG_MAX, end + slack
    stood = {one.how for one in _around(told, start, end)}
    for asks, step in steps.items():
        how = (step["result"] or {}).get("end")
        ours = [touch for touch in touches if start <= touch.at <= end and bool(touch.group) == (asks == "cut-off of groups")]
        if how == "done":
            if asks == "cut-off of sessions" and not ours:
                yield "lost", f"{character.id}: {run['id']} says that sessions ended, and nobody ended them"
            left = {touch.group for touch in touches if touch.at <= end}
            if asks == "cut-off of groups" and set(OPEN) - left:
                yield "lost", f"{character.id}: {run['id']} says that all groups were left, and {sorted(set(OPEN) - left)} were not"
        elif how == "enabled":
            if not stood - {DISABLED, DELETED, GONE, ALONE}:
                yield "lost", f"{character.id}: {run['id']} took the account for enabled, and it never was"
        elif not stood & set(_STOOD.get(str(how), ())):
            yield "lost", f"{character.id}: {run['id']} cut off {asks}: {how}, and they stood as {sorted(stood)}"


def _around(told: list[Stretch], start: float, end: float) -> list[Stretch]:
    """How somebody stood from when to when."""
    return [one for one in told if one.start <= end and one.end >= start]
