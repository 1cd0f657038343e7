"""What a run would ask of the desk, as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from joinery.domain.cut_off import Cut
from joinery.domain.guard import Verdict
from joinery.domain.policy import Policy
from joinery.domain.tickets import (
    AddNote,
    AskApproval,
    CloseTicket,
    DeactivateUser,
    EndTicket,
    EnsureAgent,
    EnsureApprover,
    EnsureUser,
    FindUser,
    OpenTicket,
    Order,
    RetireAgent,
    SetRoles,
    UpdateUser,
)
from joinery.engine.cut_off import CUTS
from joinery.engine.journal import APPROVAL
from joinery.planning import PlannedRun, PlannedStep

_WOULD = {
    Verdict.ACT: "would run",
    Verdict.SHADOW: "would be rehearsed",
    Verdict.HOLD: "would be held",
    Verdict.RECORD: "would not run",
    Verdict.DROP: "would not run",
}


def run_lines(run: PlannedRun, policy: Policy, *, texts: bool = True) -> Iterator[str]:
    """A planned run, its steps numbered; with ``texts`` what they say, otherwise a line each."""
    yield f"{run.workflow} {_WOULD[run.verdict]}: {run.why}"
    for identity, outcome in (run.meets or {}).items():
        yield f"  meets the open run {identity}: {outcome}"
    if run.verdict in (Verdict.RECORD, Verdict.DROP):
        return
    for number, step in enumerate((step for step in run.steps if step.asks != "value"), start=1):
        yield f"  {number:>2}. {step.name}"
        if texts:
            yield from (f"      {line}" for line in step_lines(step, policy))
    for wait in run.waits:
        yield f"  waits until {wait.until:%Y-%m-%d %H:%M:%S}: {wait.what}"
    if run.trouble:
        yield f"  stops there: {run.trouble}"


def step_lines(step: PlannedStep, policy: Policy) -> Iterator[str]:
    """What a step says or changes."""
    if step.order is not None:
        yield from order_lines(step.order, policy)
    elif step.asks == APPROVAL:
        rules = policy.approvals
        remind, escalate, end = (_hours(one) for one in (rules.remind_after, rules.escalate_after, rules.gives_up_after))
        yield f"waits    for the answer: reminded after {remind} of working time, the next manager up asked after {escalate}, over after {end}"
        yield "         what follows is what an approval brings; without one nothing of it is given"
    elif step.asks in CUTS.values():
        yield "touches  an account that a look of its own finds disabled, and no other"
        if step.asks == CUTS[Cut.GROUPS]:
            kept = "".join(f", {name}" for name in policy.cut_off.keep_groups)
            yield f"groups   all that list the person and can be edited, but for those with licences{kept}"


def _hours(time: timedelta) -> str:
    return f"{time / timedelta(hours=1):g} h"


def order_lines(order: Order, policy: Policy) -> Iterator[str]:
    """One order; the names are those of people, roles and teams, not ids."""
    match order:
        case OpenTicket():
            filed = policy.desk.tickets.get(order.kind)
            yield f"ticket   {order.summary}"
            if filed is not None:
                yield f"type     {filed.ticket_type}, for {filed.team}"
            yield from (f"| {line}".rstrip() for line in order.details.splitlines())
            yield from (f"[ ] {task.text} ({task.owner}, {task.when})" for task in order.to_do)
        case AddNote() | EndTicket():
            yield from (f"| {line}".rstrip() for line in order.text.splitlines())
        case EnsureUser() | UpdateUser():
            person = order.person
            yield f"user     {person.name} <{person.address}>, {person.department or 'no department'}, {person.job_title or 'no title'}"
        case EnsureApprover():
            yield f"approver {order.person.name} <{order.person.address}>"
        case AskApproval():
            yield f"asks     {len(order.user_ids)} to approve, round {order.round}"
        case EnsureAgent():
            yield f"agent    {order.person.name} <{order.person.address}>, team {order.team}"
        case SetRoles():
            yield f"roles    {', '.join(order.roles) or 'none'}; of {', '.join(order.ours) or 'none'} that policy gives and takes"
        case FindUser() | DeactivateUser() | RetireAgent() | CloseTicket():
            return
