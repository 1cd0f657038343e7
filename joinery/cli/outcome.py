"""What became of a day: for everybody in it, what the audit and the runs say, beside what the desk holds."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from joinery.cli.words import Tone, counted, words_for
from joinery.domain.tickets import TicketRef
from joinery.engine import codec
from joinery.engine.breaker import HeldChange
from joinery.engine.journal import RunStatus
from joinery.engine.readside import ReadSide, RunView

if TYPE_CHECKING:
    from simulators.driver import HaloDriver
    from simulators.play import Expected

#: Workflow -> how the summaries of its tickets begin.
_SUMMARIES = {"joiner": "Onboarding:", "leaver": "Offboarding:", "role_change": "Role "}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One person and one workflow."""

    who: str
    #: Empty where nothing was to be done.
    workflow: str
    ticket: str
    done: int
    steps: int
    verified: int
    adopted: int
    ended: str
    #: Held for a person's decision, which is neither done nor wrong.
    held: bool = False
    #: What the desk shows besides.
    shows: str = ""
    #: What is not as it should be; empty if all is well.
    wrong: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The rows of a day, and the checks that are still to come."""

    rows: tuple[Row, ...]
    checks_due: tuple[datetime, ...]

    @property
    def well(self) -> bool:
        """Everything that should have happened did, once, and was read back, or is held; nothing else did."""
        return bool(self.rows) and not any(row.wrong for row in self.rows)

    @property
    def held(self) -> int:
        """How many changes wait for a person's decision."""
        return sum(row.held for row in self.rows)


def outcome(reads: ReadSide, halo: HaloDriver, expected: Iterable[Expected], held: Iterable[HeldChange]) -> Outcome:
    """Compare what may be expected with the runs, the audit, what is held and the desk's own lists."""
    wanted = list(expected)
    desk = _Desk(halo)
    waits = {(change.partition, workflow) for change in held for workflow in change.workflows}
    by_person = {known.partition.rpartition(":")[2]: known.partition for known in reads.people()}
    runs: dict[str, list[RunView]] = {}
    for view in reads.runs():
        runs.setdefault(view.partition, []).append(view)
    rows: list[Row] = []
    for one in wanted:
        partition = by_person.get(one.person_id, "")
        if (partition, one.workflow) in waits:
            rows.append(_held(one, desk))
        else:
            rows += _rows(one, runs.get(partition, []), reads, partition, desk)
    theirs = {by_person.get(one.person_id, "") for one in wanted}
    due = sorted(check.due for partition in theirs if partition for check in reads.checks(partition))
    return Outcome(rows=tuple(rows), checks_due=tuple(due))


def _rows(one: Expected, views: Sequence[RunView], reads: ReadSide, partition: str, desk: _Desk) -> list[Row]:
    if one.workflow is None:
        return [_untouched(one, views, reads, partition)]
    # A person of an earlier day may have been through other workflows; each has its own row that day.
    mine = [view for view in views if view.run.workflow == one.workflow]
    if not mine:
        return [Row(who=one.name, workflow=one.workflow, ticket="", done=0, steps=0, verified=0, adopted=0, ended="", wrong="no run")]
    return [_row(one, view, reads, desk) for view in mine]


def _held(one: Expected, desk: _Desk) -> Row:
    """Nothing may have been done about it."""
    tickets = desk.tickets(one.person_id, one.workflow or "")
    wrong = f"held, and the desk has {counted(len(tickets), 'ticket')} ({', '.join(tickets)})" if tickets else ""
    ended = "held: a person decides"
    return Row(
        who=one.name, workflow=one.workflow or "", ticket="", done=0, steps=0, verified=0, adopted=0, ended=ended, held=True, wrong=wrong
    )


def _row(one: Expected, view: RunView, reads: ReadSide, desk: _Desk) -> Row:
    steps = [step for step in view.steps if step.order is not None]
    done = [step for step in steps if step.result is not None]
    # Opened and, some of them, closed again.
    ours = list(dict.fromkeys(ref.id for ref in (codec.untag(step.result) for step in done) if isinstance(ref, TicketRef)))
    adopted = sum(line.record.action == "step adopted" and line.record.run == view.run.id for line in reads.audit(view.partition))
    on_desk = desk.tickets(one.person_id, view.run.workflow)
    roles = desk.roles(one.person_id) if one.role else []
    wrong = []
    if view.run.status is not RunStatus.VERIFIED:
        wrong.append(f"{view.run.status}: {view.run.reason or view.run.waiting_for or 'see the audit'}")
    if on_desk != ours or len(ours) != 1:
        wrong.append(
            f"the desk has {counted(len(on_desk), 'ticket')} ({', '.join(on_desk) or 'none'}), the run {', '.join(ours) or 'none'}"
        )
    if one.role in one.before or (one.role and one.role not in roles):
        wrong.append(f"the role {one.role} was on the desk before the answer, or is not there now")
    return Row(
        who=one.name,
        workflow=view.run.workflow,
        ticket=", ".join(ours),
        done=len(done),
        steps=len(steps),
        verified=sum(step.verified is True for step in steps),
        adopted=adopted,
        ended=str(view.run.status),
        shows=f"roles on the desk before the answer: {_listed(one.before)}; now: {_listed(roles)}" if one.role else "",
        wrong="; ".join(wrong),
    )


def _untouched(one: Expected, views: Sequence[RunView], reads: ReadSide, partition: str) -> Row:
    said = [words_for(line.record) for line in reads.audit(partition)] if partition else []
    reasons = [text for text, tone in said if tone is Tone.UNTOUCHED]
    wrong = counted(len(views), "run") if views else "" if reasons else "the audit does not say why nothing happened"
    ended = reasons[-1] if reasons else ""
    return Row(who=one.name, workflow="", ticket="", done=0, steps=0, verified=0, adopted=0, ended=ended, wrong=wrong)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


class _Desk:
    """The pretend desk's own lists, read once."""

    def __init__(self, halo: HaloDriver) -> None:
        people = [row for row in _all(halo, "/Users?includeinactive=true", "users") if row.get("azureoid")]
        self._users = {str(row["azureoid"]): row["id"] for row in people}
        self._mails = {str(row["azureoid"]): str(row["emailaddress"]) for row in people}
        self._rows = _all(halo, "/Tickets?", "tickets")
        self._halo = halo

    def roles(self, person_id: str) -> list[str]:
        """Names of the roles of the person's enabled agents."""
        mail = self._mails.get(person_id)
        return self._halo.roles_of(mail) if mail else []

    def tickets(self, person_id: str, workflow: str) -> list[str]:
        """Ids of the person's tickets of this workflow's kind, oldest first."""
        user = self._users.get(person_id)
        begins = _SUMMARIES.get(workflow, "")
        return sorted((str(row["id"]) for row in self._rows if row["user_id"] == user and str(row["summary"]).startswith(begins)), key=int)


def _all(halo: HaloDriver, path: str, collection: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        answer = halo.call("GET", f"{path}&pageinate=true&page_size=100&page_no={page}")
        found += answer[collection]
        if not answer[collection] or len(found) >= int(answer["record_count"]):
            return found
        page += 1


def table(found: Outcome, width: int = 100) -> list[str]:
    """The rows as lines of text, and below them what is still to come."""
    head = ("Person", "Workflow", "Ticket", "Done", "Read back", "Adopted", "Ended")
    cells = [
        (
            row.who,
            row.workflow,
            row.ticket,
            f"{row.done} of {row.steps}",
            f"{row.verified} of {row.steps}",
            str(row.adopted or ""),
            row.ended,
        )
        if row.workflow and not row.held
        else (row.who, row.workflow or "nothing", "", "", "", "", row.ended)
        for row in found.rows
    ]
    widths = [max(len(line[at]) for line in (head, *cells)) for at in range(len(head) - 1)]
    room = max(20, width - sum(widths) - 2 * len(widths))
    lines = []
    for line, row in [(head, None), *zip(cells, found.rows, strict=True)]:
        first, *more = textwrap.wrap(line[-1], room) or [""]
        left = "  ".join(f"{cell:<{size}}" for cell, size in zip(line, widths, strict=False))
        lines.append(f"{left}  {first}".rstrip())
        lines += [f"{' ' * (len(left) + 2)}{part}" for part in more]
        if row is None:
            lines.append("─" * width)
            continue
        if row.shows:
            lines.append(f"{' ' * widths[0]}  {row.shows}")
        if row.wrong:
            lines.append(f"{' ' * widths[0]}  ✗ {row.wrong}")
    if found.checks_due:
        first_at, last_at = (moment.astimezone() for moment in (found.checks_due[0], found.checks_due[-1]))
        span = f"{first_at:%H:%M:%S}" if len(found.checks_due) == 1 else f"{first_at:%H:%M:%S} to {last_at:%H:%M:%S}"
        lines += ["", f"Still due: {counted(len(found.checks_due), 'twin check')}, {span}: does exactly one object carry each key?"]
    return lines
