"""``joinery policy``: what of an edited policy file waits, what it would start, and to apply it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from joinery.cli.asking import agreed
from joinery.cli.exits import NOT_WELL, WELL
from joinery.cli.operate import user
from joinery.cli.stored import Stored, stored
from joinery.cli.timeline import name_of
from joinery.cli.up import say
from joinery.cli.words import counted
from joinery.domain.edits import facts_of_edit, in_force, rules_of, waiting
from joinery.domain.events import Fact
from joinery.domain.moments import from_text
from joinery.domain.policy import Policy
from joinery.engine import codec
from joinery.engine.policy_book import APPLIED, RULES, applied_rules, apply, written_rules
from joinery.engine.promotion import want_looks
from joinery.engine.readside import KnownPerson
from joinery.engine.sweeps import SWEPT

#: Of a long list, so many people are named.
_NAMED = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A policy file beside the rules in force."""

    policy: Policy
    #: What waits, a line each.
    lines: tuple[str, ...]
    #: Whom it strikes as last seen, and with what.
    strikes: tuple[tuple[KnownPerson, tuple[Fact, ...]], ...]
    #: Why the list cannot be whole yet; empty where it can.
    not_yet: str = ""


def diff(data: str | None, policy: str | None, *, as_json: bool) -> int:
    """Print what waits and what it would start; changes nothing."""
    with stored(data, policy=policy) as opened:
        edit = _edit(opened)
        if as_json:
            say(json.dumps(_as_document(edit), indent=2, ensure_ascii=False))
        else:
            _say(edit)
    return NOT_WELL if edit.lines else WELL


def apply_policy(data: str | None, policy: str | None, *, yes: bool) -> int:
    """List what would start, ask, and put the rules of the file in force. Raises ConfigurationError where nobody can be asked."""
    with stored(data, policy=policy) as opened:
        edit = _edit(opened)
        _say(edit)
        if not edit.lines:
            return WELL
        if edit.not_yet or not (yes or agreed("Apply it?")):
            say("Nothing was applied.")
            return NOT_WELL
        partitions = [known.partition for known, _ in edit.strikes]
        opened.log.record("policy applied", "; ".join(edit.lines), by=user(), people=len(partitions))
        # Before and after: whatever this process still does, everybody is looked at by the new rules.
        want_looks(opened.store, partitions, APPLIED)
        apply(opened.store, edit.policy, opened.clock)
        want_looks(opened.store, partitions, APPLIED)
    say(f"Applied. {counted(len(partitions), 'person')} will be looked at within a minute." if partitions else "Applied.")
    return WELL


def _edit(opened: Stored) -> Edit:
    policy = opened.policy()
    document = opened.store.read_shared(RULES)[1]
    applied, written = applied_rules(document), written_rules(document)
    if applied is None or written is None:
        return Edit(policy=policy, lines=(), strikes=())
    lines = tuple(waiting(applied, policy))
    before, now = in_force(applied, policy), opened.clock.now()
    struck = (
        ((known, facts_of_edit(known.head.known, known.head.grants, before, policy, now)) for known in opened.reads.people())
        if lines
        else ()
    )
    return Edit(
        policy=policy, lines=lines, strikes=tuple((known, facts) for known, facts in struck if facts), not_yet=_not_yet(opened, policy)
    )


def _not_yet(opened: Stored, policy: Policy) -> str:
    """Who is in a new group is known only once whoever runs has the file and has looked around."""
    document = opened.store.read_shared(RULES)[1]
    written = written_rules(document)
    swept = opened.store.read_shared(SWEPT)[1]
    if written is None or written[0] != rules_of(policy):
        return "what runs was started with another policy file: restart it with this one, so that it looks at the people of new groups"
    if swept is None or from_text(swept["at"]) < written[1]:
        return "there was no sweep since what runs has this file: the next one, within 5 minutes, looks at the people of new groups"
    return ""


def _say(edit: Edit) -> None:
    if not edit.lines:
        say("Nothing waits: the rules of this file are in force.")
        return
    say("What waits:")
    for line in edit.lines:
        say(f"  {line}")
    say("\nWhat it would start, by what was last seen:" if edit.strikes else "\nIt would start nothing, by what was last seen.")
    for known, facts in edit.strikes[:_NAMED]:
        say(f"  {name_of(known)} ({known.partition.rpartition(':')[2]}): {', '.join(_words(fact) for fact in facts)}")
    if len(edit.strikes) > _NAMED:
        say(f"  and {len(edit.strikes) - _NAMED} more")
    kinds = Counter(fact.kind for _, facts in edit.strikes for fact in facts)
    if kinds:
        say(f"  in all: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}")
    if edit.not_yet:
        say(f"\nNot yet: {edit.not_yet}.")


def _words(fact: Fact) -> str:
    gained, lost = getattr(fact, "gained", ()), getattr(fact, "lost", ())
    return " ".join([fact.kind, *(f"+{group}" for group in gained), *(f"-{group}" for group in lost)])


def _as_document(edit: Edit) -> dict[str, object]:
    strikes = [
        {"person": known.partition.rpartition(":")[2], "facts": [codec.tag(fact) for fact in facts]} for known, facts in edit.strikes
    ]
    return {"waiting": list(edit.lines), "would_start": strikes, "not_yet": edit.not_yet}
