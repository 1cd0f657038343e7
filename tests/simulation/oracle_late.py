"""Writes that landed after every deadline: each has to be found, and marked or told, within 20 minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation import faults as f
from tests.simulation.journals import Memory, moment
from tests.simulation.story import MINUTE
from tests.simulation.verdict import Verdict

if TYPE_CHECKING:
    from tests.simulation.records import Outcome

#: In seconds.
FOUND_WITHIN = 20 * MINUTE


def found_and_marked(outcome: Outcome, memory: Memory, name: str, ticket: str, key: str, verdict: Verdict) -> None:
    """One ticket too many is forgiven if a late write brought it, and if it was marked soon."""
    late = [one.at for one in outcome.landings if one.key == key and one.late]
    if not late:
        verdict.duplicated.append(f"{name}: ticket {ticket} is one too many, and no write came late")
        return
    words = ("is a twin of", "after Joinery had given up")
    marks = {note.key for note in outcome.desk.notes if note.ticket_id == ticket and any(word in note.text for word in words)}
    told = [one for one in memory.audit if one["action"] == "twin found" and ticket in one["detail"].get("others", ())]
    refused = any(one["action"] == "alert" and f"the desk refused the note on {ticket}" in one["why"] for one in memory.audit)
    if told and refused and not marks:
        # The ticket takes no notes: whoever reads the alert is told all the same.
        verdict.late_twins += 1
        return
    if not marks and _leapt(outcome, max(late) - FOUND_WITHIN, max(late)):
        # By every clock that the worker has, the time in which it could land was over.
        return
    if not marks or not told:
        verdict.duplicated.append(f"{name}: ticket {ticket} is one too many, landed late, and was not marked")
        return
    marked_at = min(one.at for one in outcome.landings if one.key in marks)
    latest = max(late) + FOUND_WITHIN + _hindered(outcome, max(late))
    if marked_at > latest:
        verdict.duplicated.append(f"{name}: ticket {ticket} landed at {max(late):.0f} s and was marked only at {marked_at:.0f} s")
        return
    verdict.late_twins += 1


def _leapt(outcome: Outcome, since: float, until: float) -> bool:
    """Whether the worker's clock leapt ahead in that time: a jump began that is ahead, or one ended that is behind."""
    jumps = [fault for fault in outcome.history.faults if fault.kind == f.CLOCK_JUMP]
    return any(since <= (fault.at if fault.much > 0 else fault.end) <= until for fault in jumps)


def _hindered(outcome: Outcome, since: float) -> float:
    """How long after a landing nobody could have marked it: what stands in the way, and the longest pause between two tries."""
    hinders = f.BLINDING | {f.DESK_DOWN, f.DESK_CUTS, f.DESK_THROTTLES, f.DESK_REFUSES, f.PAUSED}
    ways = [fault for fault in outcome.history.faults if fault.kind in hinders and fault.end >= since - 40 * MINUTE]
    near = [fault for fault in ways if fault.at <= since + FOUND_WITHIN + 60 * MINUTE]
    # A clock that is behind hinders as long as one that is ahead.
    return sum(fault.lasts + abs(fault.much) + 40 * MINUTE for fault in near)


def told_after(outcome: Outcome, memory: Memory, landed: list[float]) -> bool:
    """Somebody was told within 20 minutes of one of these landings."""
    alerts = [(moment(one["at"]) - outcome.start).total_seconds() for one in memory.audit if one["action"] == "alert"]
    return any(at <= told <= at + FOUND_WITHIN + _hindered(outcome, at) for at in landed for told in alerts)
