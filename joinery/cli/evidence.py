"""``joinery audit verify``, ``joinery audit export`` and ``joinery erase``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from joinery.cli.exits import NOT_WELL, WELL, finding
from joinery.cli.operate import user
from joinery.cli.reports import say_who_fits
from joinery.cli.stored import stored
from joinery.cli.up import say
from joinery.cli.words import counted
from joinery.domain.moments import to_text
from joinery.engine import codec
from joinery.engine.operations import operator_partition

if TYPE_CHECKING:
    from joinery.cli.stored import Stored
    from joinery.engine.readside import KnownPerson
    from joinery.engine.verification import Verdict


# --- audit verify ---


def verify(data: str | None, *, as_json: bool) -> int:
    """Check everything; the first break of each chain that has one. Raises StoreUnavailable or SealUnavailable."""
    with stored(data) as opened:
        verdict = opened.verifier.verify()
    if as_json:
        at = to_text(verdict.sealed_at) if verdict.sealed_at else None
        say(json.dumps({"sound": verdict.sound, **codec.to_document(verdict), "sealed_at": at}, indent=2, ensure_ascii=False))
    else:
        for line in _told(verdict):
            say(line)
    return WELL if verdict.sound else NOT_WELL


def _told(verdict: Verdict) -> list[str]:
    lines = [
        f"{one.partition}: {'seal' if one.partition == 'seals' else 'entry'} {one.seq} {_WRONG[one.wrong]}."
        f" Expected {one.expected}; found {one.found}."
        for one in verdict.breaks
    ]
    entries = "1 entry" if verdict.entries == 1 else f"{verdict.entries} entries"
    sound = f"{counted(verdict.chains, 'chain')}, {entries}"
    lines.append(f"Sound: {sound}." if verdict.sound else f"Not sound: {counted(len(verdict.breaks), 'break')}; looked at {sound}.")
    if verdict.sealed_at is None:
        lines.append("Nothing was sealed yet: the first tick does it.")
    else:
        since = f"; {verdict.unsealed} since" if verdict.unsealed else ""
        lines.append(f"Sealed {counted(verdict.seals, 'time')}, last at {verdict.sealed_at:%Y-%m-%d %H:%M:%S} UTC{since}.")
        lines.append(f"Root: {verdict.root}")
    if verdict.torn_seals:
        lines.append(f"Seals that a crash cut short, and that were written again: {verdict.torn_seals}.")
    return lines


_WRONG = {
    "changed": "was changed",
    "missing": "is missing",
    "reordered": "is not in its place",
    "truncated": "and everything after it is gone",
}


# --- audit export ---


def export(data: str | None, who: str | None, *, operator: bool, everything: bool) -> int:
    """Print JSON Lines. Raises ConfigurationError unless one of the three is named."""
    if (who is not None) + operator + everything != 1:
        raise finding(
            "audit export", "takes one of --person, --operator and --all", "For example: joinery audit export --all > audit.jsonl"
        )
    with stored(data) as opened:
        if everything:
            lines = opened.exporter.everything()
        elif who is None:
            lines = opened.exporter.of([operator_partition(opened.tenant)])
        else:
            known = _one(opened, who)
            if known is None:
                return NOT_WELL
            lines = opened.exporter.of([known.partition])
        for line in lines:
            # ASCII alone: whatever letters the terminal knows, the hashes can be computed again.
            say(json.dumps(line))
    return WELL


def _one(opened: Stored, who: str) -> KnownPerson | None:
    found = opened.reads.find(who.strip())
    if len(found) == 1:
        return found[0]
    say_who_fits(who, found)
    return None


# --- erase ---


def erase(data: str | None, who: str, reason: str, *, when_done: bool) -> int:
    """Erase one person. Raises ConfigurationError for a reason that is empty or names the person."""
    if not reason.strip():
        raise finding("--reason", "is empty", 'Say why, for whoever finds nothing: --reason "request 2026-14".')
    with stored(data) as opened:
        known = _one(opened, who)
        if known is None:
            return NOT_WELL
        identity = known.partition.rpartition(":")[2]
        if opened.eraser.names_the_person(known.partition, reason):
            raise finding("--reason", "holds a name or an address that is to be erased", "It stays in the operators' audit: write the id.")
        mentions = _mentions(opened, identity)
        done = opened.eraser.erase(known.partition, reason=reason.strip(), by=user())
        if done.blocked_by and when_done:
            opened.eraser.wish(known.partition, reason=reason.strip(), by=user())
    if done.blocked_by:
        said = "; ".join(done.blocked_by)
        if when_done:
            say(f"{identity} will be erased by itself when this has ended: {said}.")
            return WELL
        print(f"joinery: {identity} cannot be erased yet: {said}. Try again then, or add --when-done.", file=sys.stderr, flush=True)  # noqa: T201 - a command speaks to its user
        return NOT_WELL
    if done.rows or done.parked:
        rows = f"{counted(done.rows, 'stored row')}" + (f" and {counted(done.parked, 'parked message')}" if done.parked else "")
        say(f"Erased from {rows}: {identity}. Ids, times and hashes stay; `joinery audit verify` holds.")
    else:
        say(f"Nothing was left to erase of {identity}.")
    if mentions:
        say(f"Named as manager in the records of: {', '.join(mentions)}. Those go when these people are erased, or get another manager.")
    return WELL


def _mentions(opened: Stored, identity: str) -> list[str]:
    """Ids of people whose last sighting names this person as their manager."""
    return [
        known.partition.rpartition(":")[2]
        for known in opened.reads.people()
        if known.person and known.person.manager and known.person.manager.id.casefold() == identity.casefold()
    ]
