"""``joinery held``: what the breaker holds, and what a person decides about it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace

from joinery.cli.exits import NOT_WELL, WELL, finding
from joinery.cli.operate import user
from joinery.cli.orders import run_lines
from joinery.cli.stored import Stored, stored
from joinery.cli.timeline import name_of
from joinery.cli.up import say
from joinery.cli.words import counted
from joinery.domain.guard import Verdict
from joinery.domain.moments import to_text
from joinery.domain.person import Absence, Sighting
from joinery.engine.breaker import HeldBook, HeldChange, HeldDecision
from joinery.engine.readside import KnownPerson
from joinery.planning import Plan

_DONE = {HeldDecision.RELEASE: "Released", HeldDecision.DISCARD: "Discarded"}


def list_held(data: str | None, *, as_json: bool) -> int:
    """Everything that is held, and what would happen if it were released."""
    with stored(data) as opened:
        held = HeldBook(opened.store).listed()
        planner = opened.planner() if held else None
        rows = [
            (one, known, planner.plan(one.partition, sighting_of(known, one.workflows)))
            for one in held
            if planner and (known := _known(opened, one))
        ]
        rules = opened.policy() if held else None
    if as_json:
        say(json.dumps([_as_document(one, planned) for one, _, planned in rows], indent=2, ensure_ascii=False))
        return WELL
    if not held:
        say("Nothing is held.")
    for one, known, planned in rows:
        said = f"; {one.decision} is under way" if one.decision else ""
        say(f"{one.at:%Y-%m-%d %H:%M:%S}  {one.workflow}  {name_of(known)} ({_id(one)}){said}")
        say(f"  {one.why}")
        for run in planned.runs:
            if run.workflow in one.workflows and rules is not None:
                # What the breaker would say now is not the question: released, it runs.
                released = replace(run, verdict=Verdict.ACT, why="when it is released")
                for line in run_lines(released, rules, texts=False):
                    say(f"  {line}")
    return WELL


def _known(opened: Stored, change: HeldChange) -> KnownPerson | None:
    known = opened.reads.known(change.partition)
    return known if known is not None and known.person is not None else None


def sighting_of(known: KnownPerson, workflows: Collection[str]) -> Sighting:
    """The person as last seen; gone, where what is to be decided is that they left and they were still enabled then."""
    person = known.person
    if person is None:
        raise AssertionError("nothing is decided about whom we never saw")
    return Absence(id=person.id, soft_deleted=True) if "leaver" in workflows and person.account_enabled else person


def _as_document(change: HeldChange, planned: Plan) -> dict[str, object]:
    return {
        "person": _id(change),
        "workflow": change.workflow,
        "at": to_text(change.at),
        "why": change.why,
        "decision": change.decision,
        "steps": {run.workflow: [step.name for step in run.steps] for run in planned.runs if run.workflow in change.workflows},
    }


def decide(data: str | None, decision: str, *, person: str | None, everything: bool, reason: str) -> int:
    """Release or discard; what runs takes it up within a minute. Raises ConfigurationError for a missing or unknown WHO or reason."""
    if (person is None) is not everything:
        raise finding(
            f"held {decision}", "takes either --person or --all", f'For example: joinery held {decision} --all --reason "HR confirms"'
        )
    if not reason.strip():
        raise finding("--reason", "is empty", 'Say why, for whoever reads the audit: --reason "HR confirms".')
    word = HeldDecision(decision)
    with stored(data) as opened:
        book = HeldBook(opened.store)
        wanted = {known.partition for known in opened.reads.find(person.strip())} if person is not None else set()
        chosen = [one for one in book.listed() if everything or one.partition in wanted]
        for one in chosen:
            # The audit first: what is decided can always be explained.
            opened.log.record(f"held {decision}", f"{_id(one)}: {reason.strip()}", by=user(), workflow=one.workflow)
            book.put(replace(one, decision=word))
    say(f"{_DONE[word]}: {counted(len(chosen), 'change')}." if chosen else "Nothing of that is held.")
    return WELL if chosen else NOT_WELL


def _id(change: HeldChange) -> str:
    return change.partition.rpartition(":")[2]
