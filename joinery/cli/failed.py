"""``joinery failed``: the runs that failed and still stand, and what a person decides about them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from joinery.cli.exits import NOT_WELL, WELL, finding
from joinery.cli.operate import user
from joinery.cli.stored import Stored, stored
from joinery.cli.timeline import name_of
from joinery.cli.up import say
from joinery.cli.words import counted
from joinery.domain.moments import to_text
from joinery.engine.journal import Run, RunStatus
from joinery.engine.promotion import retries_of, retry
from joinery.engine.readside import KnownPerson, RunView
from joinery.engine.reopening import standing


def list_failed(data: str | None, *, as_json: bool) -> int:
    """Every failed run that can go on."""
    with stored(data) as opened:
        rows = [(known, view, view.run.seq in retries_of(opened.store, view.partition)) for known, view in _standing(opened)]
    if as_json:
        say(json.dumps([_as_document(view, chosen) for _, view, chosen in rows], indent=2, ensure_ascii=False))
        return WELL
    if not rows:
        say("Nothing has failed that could go on.")
    for known, view, chosen in rows:
        ended = f"{view.run.closed_at:%Y-%m-%d %H:%M:%S}" if view.run.closed_at else ""
        say(f"{ended}  {view.run.workflow}  {name_of(known)} ({_id(view)}){'; retry is under way' if chosen else ''}")
        say(f"  {view.run.reason} [{view.run.id}]")
        if tickets := _tickets(view):
            say(f"  ticket {', '.join(tickets)}")
    return WELL


def retry_failed(data: str | None, *, person: str | None, everything: bool, reason: str) -> int:
    """Have them go on; what runs takes it up within a minute. Raises ConfigurationError for a missing WHO or reason."""
    if (person is None) is not everything:
        raise finding(
            "failed retry", "takes either --person or --all", 'For example: joinery failed retry --all --reason "the role is there again"'
        )
    if not reason.strip():
        raise finding("--reason", "is empty", 'Say why, for whoever reads the audit: --reason "the licence was extended".')
    with stored(data) as opened:
        wanted = {known.partition for known in opened.reads.find(person.strip())} if person else set()
        chosen = [view for _, view in _standing(opened) if everything or view.partition in wanted]
        for view in chosen:
            # The audit first: what is decided can always be explained.
            opened.log.record("run retried", f"{_id(view)}: {reason.strip()}", by=user(), workflow=view.run.workflow, run=view.run.id)
            retry(opened.store, view.partition, [view.run.seq])
    say(f"Going on within a minute: {counted(len(chosen), 'run')}." if chosen else "Nothing of that has failed and could go on.")
    return WELL if chosen else NOT_WELL


def _standing(opened: Stored) -> Iterator[tuple[KnownPerson, RunView]]:
    for view in opened.reads.runs():
        known = _known(opened, view) if view.run.status is RunStatus.FAILED else None
        if known is not None and not standing(view.run, known.head, _later(opened, known, view)):
            yield known, view


def _known(opened: Stored, view: RunView) -> KnownPerson | None:
    """Whose run it is; None for the runs of alerts."""
    return opened.reads.known(view.partition) if "|person:" in view.partition else None


def _later(opened: Stored, known: KnownPerson, view: RunView) -> Iterator[Run]:
    for seq in range(view.run.seq + 1, known.head.runs + 1):
        later = opened.reads.run(view.partition, seq)
        if later is not None:
            yield later.run


def _tickets(view: RunView) -> list[str]:
    return [str(step.result["id"]) for step in view.steps if step.asks == "OpenTicket" and step.result]


def _as_document(view: RunView, chosen: bool) -> dict[str, object]:
    run = view.run
    return {
        "person": _id(view),
        "workflow": run.workflow,
        "run": run.id,
        "at": to_text(run.closed_at) if run.closed_at else "",
        "why": run.reason,
        "tickets": _tickets(view),
        "retried": chosen,
    }


def _id(view: RunView) -> str:
    return view.partition.rpartition(":")[2]
