"""``joinery held``: what the breaker holds, and what a person decides about it."""

from __future__ import annotations

import json
from dataclasses import replace

from joinery.cli.exits import NOT_WELL, WELL, finding
from joinery.cli.operate import user
from joinery.cli.stored import Stored, stored
from joinery.cli.timeline import name_of
from joinery.cli.up import say
from joinery.cli.words import counted
from joinery.domain.moments import to_text
from joinery.engine.breaker import HeldBook, HeldChange, HeldDecision

_DONE = {HeldDecision.RELEASE: "Released", HeldDecision.DISCARD: "Discarded"}


def list_held(data: str | None, *, as_json: bool) -> int:
    """Everything that is held."""
    with stored(data) as opened:
        held = HeldBook(opened.store).listed()
        names = {known.partition: name_of(known) for known in opened.reads.people()} if held else {}
    if as_json:
        rows = [
            {"person": _id(one), "workflow": one.workflow, "at": to_text(one.at), "why": one.why, "decision": one.decision} for one in held
        ]
        say(json.dumps(rows, indent=2, ensure_ascii=False))
        return WELL
    if not held:
        say("Nothing is held.")
    for one in held:
        said = f"; {one.decision} is under way" if one.decision else ""
        say(f"{one.at:%Y-%m-%d %H:%M:%S}  {one.workflow}  {names.get(one.partition, '')} ({_id(one)}){said}")
        say(f"  {one.why}")
    return WELL


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
        chosen = [one for one in book.listed() if person is None or one.partition in _partitions(opened, person)]
        for one in chosen:
            # The audit first: what is decided can always be explained.
            opened.log.record(f"held {decision}", f"{_id(one)}: {reason.strip()}", by=user(), workflow=one.workflow)
            book.put(replace(one, decision=word))
    say(f"{_DONE[word]}: {counted(len(chosen), 'change')}." if chosen else "Nothing of that is held.")
    return WELL if chosen else NOT_WELL


def _partitions(opened: Stored, who: str) -> set[str]:
    return {known.partition for known in opened.reads.find(who.strip())}


def _id(change: HeldChange) -> str:
    return change.partition.rpartition(":")[2]
