"""Steps 8 and 9 of a probe: a round of approval is started on its ticket, and answered one way and the other."""

from __future__ import annotations

from adapters.halo import wire
from adapters.halo.names import APPROVAL_PROCESS
from adapters.halo.probe_access import AWAITING, NOTE_OUTCOME
from adapters.halo.probe_bench import Bench, FailedStep, SkippedStep, one_of
from joinery.domain.tickets import AskApproval, RoundRef

#: Looks at an answer that was given: the desk may take a moment.
_LOOKS, _BETWEEN = 4, 2.0


def start_approval(bench: Bench) -> str:
    """The approver of the plan is asked by the process of the policy; what a row says that waits."""
    number = bench.ticket()
    bench.must_have(APPROVAL_PROCESS.title, AWAITING, NOTE_OUTCOME)
    if not bench.plan.approver:
        raise SkippedStep("no approver was named", "Name the address of a test user who may approve.")
    user = one_of(bench.users().at(bench.plan.approver, deadline=bench.client.deadline()), "user")
    bench.approver_id = str(wire.id_of(user, "GET /Users"))
    order, ref = _ask(bench, 1)
    rows = _rows(bench, number, ref)
    if not rows and (others := bench.approvals().rows(number, bench.client.deadline())):
        counted = sorted({str(wire.number(row.get("actionnumber"))) for row in others})
        raise FailedStep(
            f"the round that action {ref.number} started counts as {', '.join(counted)}",
            "Joinery knows a round by the action that started it, and cannot read approvals here: use no role with approval, and report it.",
        )
    if not rows:
        remedy = "The process has to take one user whom its start names, and the application may need the right to start it."
        raise FailedStep(f"action {ref.number} started no round on ticket {number}", remedy)
    bench.round = ref.number
    if any(wire.number(row.get("result")) not in (None, 0) for row in rows):
        raise FailedStep(
            f"round {ref.number} was answered when it was asked", "Switch automatic approval off in the process: nobody would be asked."
        )
    seen = bench.approvals().check(order, ref)
    if not seen.ok:
        raise FailedStep(seen.detail, "Let the process put its ticket into [desk] awaiting_status and ask nobody else.")
    return f"{seen.detail}; a row that waits says {'nothing' if rows[0].get('result') is None else rows[0]['result']}"


def answer(bench: Bench) -> str:
    """Once yes and, in a second round, once no; which numbers the rows show then. Nobody but the approver can do that."""
    number = bench.ticket()
    if not bench.round or bench.approver_id is None:
        raise SkippedStep("there is no round to answer: step 8")
    if bench.plan.answer is None:
        raise SkippedStep("a person has to answer, and nobody is here to do so", "Answer one each way in the portal, and read the rows.")
    bench.plan.answer(number, True)
    yes = _result(bench, number, RoundRef(ticket_id=str(number), number=bench.round))
    _, ref = _ask(bench, 2)
    bench.plan.answer(number, False)
    no = _result(bench, number, ref)
    if yes == no:
        raise FailedStep(f"a row says {yes} whether it was approved or rejected", "See that the approver answered once yes and once no.")
    profile = bench.client.profile
    if yes in profile.rejected or no in profile.approved:
        # Whoever answered the other way round would have every rejection taken for an approval from then on.
        raise FailedStep(
            f"a row that was approved says {yes}, one that was rejected {no}, and the profile has it the other way round",
            "See that the approver answered yes first and no then, and probe again; if they did, write it into [approvals] by hand.",
        )
    # A profile may know more numbers than the two that were seen.
    bench.learn(
        approved=profile.approved if yes in profile.approved else (yes,), rejected=profile.rejected if no in profile.rejected else (no,)
    )
    return f"a row that was approved says {yes}, one that was rejected {no}"


def _ask(bench: Bench, round_number: int) -> tuple[AskApproval, RoundRef]:
    asked = (bench.approver_id or "",)
    order = AskApproval(ticket_id=str(bench.ticket()), user_ids=asked, round=round_number, text="Asked by the probe; no answer is needed.")
    return order, bench.approvals().ask(order, bench.key, bench.client.deadline())


def _rows(bench: Bench, number: int, ref: RoundRef) -> list[wire.Row]:
    rows = bench.approvals().rows(number, bench.client.deadline(), number=int(ref.number))
    return [row for row in rows if str(wire.number(row.get("actionnumber"))) == ref.number]


def _result(bench: Bench, number: int, ref: RoundRef) -> int:
    for look in range(_LOOKS):
        if look:
            bench.pause(_BETWEEN)
        for row in _rows(bench, number, ref):
            if found := wire.number(row.get("result")):
                return found
    raise FailedStep(f"round {ref.number} on ticket {number} still waits", "The approver needs the right to approve, and has to answer.")
