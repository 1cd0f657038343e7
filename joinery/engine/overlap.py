"""What happens when a fact meets an open run: one table, as data, and the hand that carries it out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import cast

from joinery.domain.events import Completed, Fact, Joined, Left, Moved, Renamed, Returned, RolesChanged
from joinery.domain.person import Person
from joinery.engine import codec
from joinery.engine.journal import Run, RunStatus
from joinery.engine.partition import Partition


class Overlap(StrEnum):
    """What becomes of the open run, and of the fact."""

    #: The open run resolves its open intents and ends; the new one waits for that, and learns which tickets there are.
    SUPERSEDE = "supersede"
    #: As superseded, and the new run is about both facts.
    MERGE = "merge"
    #: The open run resolves its open intents, says on its tickets that it stops, and ends; whatever is new waits for that.
    WITHDRAW = "withdraw"
    #: The open run goes on with the person as they are now; whatever is new comes after it.
    COMPLETE = "complete"
    #: The open run goes on; nothing new starts.
    IGNORE = "ignore"
    #: Both go on, the older first.
    QUEUE = "queue"


_S, _M, _W, _C, _I, _Q = Overlap.SUPERSEDE, Overlap.MERGE, Overlap.WITHDRAW, Overlap.COMPLETE, Overlap.IGNORE, Overlap.QUEUE

#: What stopped a run that nothing goes on with, where that is not the fact itself.
NOTHING_STARTS = "nothing starts"

#: The workflows that have a column. A run of any other workflow queues, except that leaving supersedes it.
COLUMNS = ("joiner", "mover", "renamer", "role_change", "returner", "leaver")

#: New fact -> what becomes of an open run, a cell per column above.
FACT_MEETS_RUN: dict[type[Fact], tuple[Overlap, ...]] = {
    # Once per episode, so an open joiner is of a stay that has ended.
    Joined: (_Q, _Q, _Q, _Q, _Q, _Q),
    # Whoever left is not onboarded, moved or given anything any more. A second leave waits for the first.
    Left: (_S, _S, _S, _S, _S, _Q),
    # Whoever is back keeps what the leaver has not taken yet.
    Returned: (_Q, _Q, _Q, _Q, _I, _W),
    # A field that was empty at joining: the open onboarding is about the whole person from now on, and the desk's user gets it too.
    Completed: (_C, _C, _Q, _Q, _C, _Q),
    Moved: (_Q, _M, _Q, _Q, _Q, _Q),
    Renamed: (_C, _C, _M, _C, _C, _Q),
    # A run about the same group; one about other groups goes on. The new run withdraws what was asked for and does not stand any more.
    RolesChanged: (_Q, _Q, _Q, _M, _Q, _Q),
}


def overlap(fact: Fact, workflow: str) -> Overlap:
    """Look the pair up."""
    if workflow in COLUMNS:
        return FACT_MEETS_RUN[type(fact)][COLUMNS.index(workflow)]
    return Overlap.SUPERSEDE if isinstance(fact, Left) else Overlap.QUEUE


@dataclass(frozen=True, kw_only=True, slots=True)
class Meeting:
    """What a fact found when it came in."""

    #: The fact that a new run is about; None where an open run took it in, or where there is nothing to do about it.
    fact: Fact | None
    #: Seqs of the runs that end first.
    supersedes: tuple[int, ...]
    #: As the person was before the first of the facts that became one; None where there is one fact only.
    before: Person | None = None


def meet(partition: Partition, fact: Fact, person: Person, *, by: str, starts: bool = True) -> Meeting:
    """Let a fact meet every open live run of the partition; ``by`` names, for the audit, what overtakes them.

    Where nothing ``starts`` because of the fact, nobody goes on with the tickets of whatever ends: they say so.
    A run that goes on with the person as they are now does not take the fact in: a renamed person completes an open joiner, and gets
    the desk's user renamed all the same.
    """
    ends: list[int] = []
    taken = False
    about, before = fact, None
    for run in sorted(partition.runs.values(), key=lambda one: one.seq):
        outcome = overlap(fact, run.workflow)
        if run.mode != "live" or outcome is Overlap.QUEUE or _is_apart(fact, run):
            continue
        if run.status is not RunStatus.OPEN:
            # It is ending already; whatever is new waits for it.
            ends.append(run.seq)
        elif outcome is Overlap.COMPLETE:
            partition.audit("run updated", f"goes on with what is known now: {', '.join(getattr(fact, 'fields', ()))}", run=run.id)
            partition.save_run(replace(run, person=person))
        elif outcome is Overlap.IGNORE:
            taken = True
        else:
            if outcome is Overlap.MERGE:
                about = _merged(cast(Fact, codec.untag(run.fact)), about)
                before = before or run.before
            why = "and says so on its tickets" if outcome is Overlap.WITHDRAW or not starts else "its open intents are resolved first"
            partition.audit("run overtaken", f"by {by}; {why}", run=run.id)
            stops = fact.kind if outcome is Overlap.WITHDRAW else "" if starts else NOTHING_STARTS
            partition.save_run(replace(run, status=RunStatus.SUPERSEDING, due=None, waiting_for="", stopped_by=stops))
            ends.append(run.seq)
    return Meeting(fact=None if taken else about, supersedes=tuple(ends), before=before)


def _is_apart(fact: Fact, run: Run) -> bool:
    """A run about other groups goes on, however long it waits: what each of them asks the desk for is what is wanted by then."""
    about = codec.untag(run.fact)
    if not isinstance(fact, RolesChanged) or not isinstance(about, RolesChanged):
        return False
    return {*fact.gained, *fact.lost, *fact.ended}.isdisjoint((*about.gained, *about.lost, *about.ended))


def _merged(old: Fact, new: Fact) -> Fact:
    """Both facts as one, where they are of one kind and name fields or groups.

    About a group the new one is right; but what was to end is ended all the same before the next membership of that group is asked about.
    """
    if isinstance(old, Moved) and isinstance(new, Moved):
        return Moved(fields=tuple(dict.fromkeys((*old.fields, *new.fields))))
    if isinstance(old, Renamed) and isinstance(new, Renamed):
        return Renamed(fields=tuple(dict.fromkeys((*old.fields, *new.fields))))
    if isinstance(old, RolesChanged) and isinstance(new, RolesChanged):
        over = {*new.lost, *new.ended}
        return RolesChanged(
            gained=tuple(sorted({*new.gained, *old.gained} - (over - set(new.gained)))),
            lost=tuple(sorted({*new.lost, *old.lost} - set(new.ended))),
            ended=tuple(sorted({*new.ended, *old.ended} - set(new.lost))),
        )
    return new
