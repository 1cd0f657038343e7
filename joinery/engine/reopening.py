"""A run that failed goes on where it stopped, because a person says so: the same tickets, the same answers, the same keys.

Whoever works at a command leaves an index row, and the next look at the person carries it out. What failed is tried again for as long as it
was the first time; what was done stays done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from joinery.domain.changes import Stage
from joinery.domain.events import Left, RolesChanged
from joinery.domain.moments import to_text
from joinery.domain.roles import GrantState
from joinery.engine import codec
from joinery.engine.asking import Asking, part
from joinery.engine.journal import APPROVAL, Head, Run, RunStatus, Step, StepState, record_of
from joinery.engine.partition import APPROVALS, Partition
from joinery.engine.ports import StateStore
from joinery.engine.promotion import retries_of, retry_done


def standing(run: Run, head: Head, later: Iterator[Run]) -> str:
    """Why a failed run cannot go on; empty where it can. ``later``: the runs of the same person that began after it."""
    fact = codec.untag(run.fact)
    if run.status is not RunStatus.FAILED or run.mode != "live":
        return "it has not failed"
    if run.person.erased:
        return "the person was erased"
    if run.episode != head.episode.number:
        return "it belongs to an earlier stay"
    if isinstance(fact, Left) != (head.episode.stage is Stage.LEFT):
        return "the person has left since" if head.episode.stage is Stage.LEFT else "the person is not away any more"
    if isinstance(fact, RolesChanged) and fact.gained and not (fact.lost or fact.ended):
        grants = (head.grants.get(group) for group in fact.gained)
        if not any(grant is not None and grant.state is not GrantState.ENDED for grant in grants):
            return "the membership has ended"
    follows = next((one for one in later if one.mode == "live" and one.workflow == run.workflow and _meets(run, one)), None)
    return f"run {follows.id} came after it" if follows is not None else ""


def reopen(partition: Partition, store: StateStore) -> None:
    """Carry out what was decided about failed runs of this person; a repeat after a crash is harmless. Raises LostRace, StoreUnavailable."""
    wanted = retries_of(store, partition.name)
    for seq in wanted:
        closed = _closed(partition, seq)
        if closed is None:
            # Carried out before a crash, or never there.
            continue
        why = standing(closed, partition.head, _later(partition, seq))
        if why:
            partition.audit("run not reopened", why, run=closed.id)
        else:
            partition.audit("run reopened", f"somebody decided that it goes on; it had failed: {closed.reason}", run=closed.id)
            _go_on(partition, store, closed)
    if wanted:
        partition.afterwards(lambda: retry_done(store, partition.name))
        partition.commit()


def _go_on(partition: Partition, store: StateStore, closed: Run) -> None:
    run, steps = partition.reopen_run(closed)
    decided = [step.name for step in steps if step.asks == APPROVAL and step.state is StepState.DONE]
    for step in steps:
        if step.state not in (StepState.FAILED, StepState.ABANDONED) or any(step.name.startswith(part(name, "")) for name in decided):
            continue
        if step.asks == APPROVAL and step.result:
            step = _asked_anew(partition, store, step)
        fresh = replace(step, state=StepState.RETRY, due=None, first_tried_at=None, tries=0, overdue=False, not_after=None, looked_at=None)
        partition.save_step(run, fresh)


def _asked_anew(partition: Partition, store: StateStore, step: Step) -> Step:
    """An open question: whoever has it gets the whole time again, and what was answered meanwhile is read first."""
    now = partition.clock.now()
    asking = codec.from_document(step.result, Asking)
    asking = replace(asking, begun=now if asking.begun else None, reminders=0, heard=True, nobody_since=None)
    # Before the commit that it points to, as where it was asked.
    row = {"partition": partition.name, "asked": list(asking.asked), "at": to_text(now), "begun": bool(asking.number)}
    store.put_index(APPROVALS, step.key, row)
    return replace(step, result=codec.to_document(asking))


def _closed(partition: Partition, seq: int) -> Run | None:
    rows = partition.closed_rows(seq)[:1]
    return record_of(rows[0].data, Run, place=f"partition {partition.name}, row {rows[0].name}") if rows else None


def _later(partition: Partition, seq: int) -> Iterator[Run]:
    for other in range(seq + 1, partition.head.runs + 1):
        run = partition.runs.get(other) or _closed(partition, other)
        if run is not None:
            yield run


def _meets(run: Run, other: Run) -> bool:
    """Whether a later run of the same workflow took its place: role changes of other groups have nothing to do with each other."""
    fact, after = codec.untag(run.fact), codec.untag(other.fact)
    if not isinstance(fact, RolesChanged) or not isinstance(after, RolesChanged):
        return True
    return not {*fact.gained, *fact.lost, *fact.ended}.isdisjoint((*after.gained, *after.lost, *after.ended))
