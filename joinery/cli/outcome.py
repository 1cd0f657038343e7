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
from joinery.engine.journal import RunStatus
from joinery.engine.readside import ReadSide, RunView

if TYPE_CHECKING:
    from simulators.driver import HaloDriver
    from simulators.play import Expected

#: Workflow -> how the summaries of its tickets begin.
_SUMMARIES = {"joiner": "Onboarding:", "leaver": "Offboarding:"}


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
    #: What is not as it should be; empty if all is well.
    wrong: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The rows of a day, and the checks that are still to come."""

    rows: tuple[Row, ...]
    checks_due: tuple[datetime, ...]

    @property
    def well(self) -> bool:
        """Everything that should have happened did, once, and was read back; nothing else did."""
        return bool(self.rows) and not any(row.wrong for row in self.rows)


def outcome(reads: ReadSide, halo: HaloDriver, expected: Iterable[Expected]) -> Outcome:
    """Compare what may be expected with the runs, the audit and the desk's own lists."""
    wanted = list(expected)
    tickets = _Tickets(halo)
    by_person = {known.partition.rpartition(":")[2]: known.partition for known in reads.people()}
    runs: dict[str, list[RunView]] = {}
    for view in reads.runs():
        runs.setdefault(view.partition, []).append(view)
    rows: list[Row] = []
    for one in wanted:
        partition = by_person.get(one.person_id, "")
        rows += _rows(one, runs.get(partition, []), reads, partition, tickets)
    theirs = {by_person.get(one.person_id, "") for one in wanted}
    due = sorted(check.due for partition in theirs if partition for check in reads.checks(partition))
    return Outcome(rows=tuple(rows), checks_due=tuple(due))


def _rows(one: Expected, views: Sequence[RunView], reads: ReadSide, partition: str, tickets: _Tickets) -> list[Row]:
    if one.workflow is None:
        return [_untouched(one, views, reads, partition)]
    # A person of an earlier day may have been through other workflows; each has its own row that day.
    mine = [view for view in views if view.run.workflow == one.workflow]
    if not mine:
        return [Row(who=one.name, workflow=one.workflow, ticket="", done=0, steps=0, verified=0, adopted=0, ended="", wrong="no run")]
    return [_row(one, view, reads, tickets) for view in mine]


def _row(one: Expected, view: RunView, reads: ReadSide, tickets: _Tickets) -> Row:
    steps = [step for step in view.steps if step.order is not None]
    done = [step for step in steps if step.result is not None]
    ours = [ref.id for ref in (codec.untag(step.result) for step in done) if isinstance(ref, TicketRef)]
    adopted = sum(line.record.action == "step adopted" and line.record.run == view.run.id for line in reads.audit(view.partition))
    on_desk = tickets.of(one.person_id, view.run.workflow)
    wrong = []
    if view.run.status is not RunStatus.VERIFIED:
        wrong.append(f"{view.run.status}: {view.run.reason or view.run.waiting_for or 'see the audit'}")
    if on_desk != ours or len(ours) != 1:
        wrong.append(
            f"the desk has {counted(len(on_desk), 'ticket')} ({', '.join(on_desk) or 'none'}), the run {', '.join(ours) or 'none'}"
        )
    return Row(
        who=one.name,
        workflow=view.run.workflow,
        ticket=", ".join(ours),
        done=len(done),
        steps=len(steps),
        verified=sum(step.verified is True for step in steps),
        adopted=adopted,
        ended=str(view.run.status),
        wrong="; ".join(wrong),
    )


def _untouched(one: Expected, views: Sequence[RunView], reads: ReadSide, partition: str) -> Row:
    said = [words_for(line.record) for line in reads.audit(partition)] if partition else []
    reasons = [text for text, tone in said if tone is Tone.UNTOUCHED]
    wrong = counted(len(views), "run") if views else "" if reasons else "the audit does not say why nothing happened"
    ended = reasons[-1] if reasons else ""
    return Row(who=one.name, workflow="", ticket="", done=0, steps=0, verified=0, adopted=0, ended=ended, wrong=wrong)


class _Tickets:
    """The pretend desk's own lists, read once."""

    def __init__(self, halo: HaloDriver) -> None:
        self._users = {str(row["azureoid"]): row["id"] for row in _all(halo, "/Users?includeinactive=true", "users") if row.get("azureoid")}
        self._rows = _all(halo, "/Tickets?", "tickets")

    def of(self, person_id: str, workflow: str) -> list[str]:
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
        if row.workflow
        else (row.who, "nothing", "", "", "", "", row.ended)
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
        elif row.wrong:
            lines.append(f"{' ' * widths[0]}  ✗ {row.wrong}")
    if found.checks_due:
        first_at, last_at = (moment.astimezone() for moment in (found.checks_due[0], found.checks_due[-1]))
        span = f"{first_at:%H:%M:%S}" if len(found.checks_due) == 1 else f"{first_at:%H:%M:%S} to {last_at:%H:%M:%S}"
        lines += ["", f"Still due: {counted(len(found.checks_due), 'twin check')}, {span}: does exactly one object carry each key?"]
    return lines
