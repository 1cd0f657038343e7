"""``joinery rings``: how far each workflow is trusted, what shadow saw, and what of it is to run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from joinery.cli.asking import agreed, can_ask
from joinery.cli.exits import NOT_WELL, WELL, finding
from joinery.cli.held import sighting_of
from joinery.cli.operate import user
from joinery.cli.orders import run_lines
from joinery.cli.stored import Stored, stored
from joinery.cli.timeline import name_of
from joinery.cli.up import say
from joinery.cli.words import counted
from joinery.domain.guard import Verdict
from joinery.engine.promotion import Promotion, PromotionBook
from joinery.engine.readside import KnownPerson


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which of the rehearsed facts are meant; nothing at all: ask."""

    people: tuple[str, ...] = ()
    everything: bool = False
    yes: bool = False


def list_rings(data: str | None, policy: str | None, *, as_json: bool) -> int:
    """Every workflow with its ring and how many rehearsed facts wait."""
    with stored(data, policy=policy) as opened:
        rules = opened.policy()
        waiting = {name: [_id(known) for known in _rehearsed(opened, name)] for name in rules.workflows}
    if as_json:
        say(json.dumps([{"workflow": name, "ring": rules.ring_of(name), "waiting": ids} for name, ids in waiting.items()], indent=2))
        return WELL
    for name, ids in waiting.items():
        named = rules.workflows[name]
        whom = named.pilot_group if named.ring == "pilot" else ", ".join(named.departments) if named.ring == "departments" else ""
        say(f"{name:<12} {named.ring}{f' ({whom})' if whom else ''}{f'; shadow saw {len(ids)}' if ids else ''}")
    return WELL


def decide(data: str | None, policy: str | None, workflow: str, choice: Choice, promotion: Promotion, *, reason: str) -> int:
    """List what shadow saw of a workflow and still stands, and have chosen facts run or dropped. Raises ConfigurationError."""
    if choice.people and choice.everything:
        raise finding("joinery rings", "takes --person or --all, not both", "Use one of them.")
    if promotion is Promotion.DROP and not reason.strip():
        raise finding("--reason", "is empty", 'Say why, for whoever reads the audit: --reason "done by hand".')
    with stored(data, policy=policy) as opened:
        rules = opened.policy()
        if workflow not in rules.workflows:
            raise finding("WORKFLOW", f"is {workflow!r}", f"Use one of: {', '.join(rules.workflows)}.")
        waiting = list(_rehearsed(opened, workflow))
        wanted = {one.partition for who in choice.people for one in opened.reads.find(who.strip())}
        meant = [known for known in waiting if not choice.people or known.partition in wanted]
        if not meant:
            say(f"Shadow saw nothing of {workflow} that still stands{' and is meant' if waiting else ''}.")
            return NOT_WELL if choice.people else WELL
        for known in meant:
            _say_plan(opened, known, workflow)
        chosen = _choose(meant, choice, promotion)
        book = PromotionBook(opened.store)
        for known in chosen:
            # The audit first: what is decided can always be explained.
            why = f"{_id(known)}: {reason.strip() or 'chosen'}"
            opened.log.record(f"rehearsal {'promoted' if promotion is Promotion.RUN else 'dropped'}", why, by=user(), workflow=workflow)
            book.decide(known.partition, workflow, promotion)
    word = "begin within a minute" if promotion is Promotion.RUN else "will not run"
    say(f"\n{counted(len(chosen), workflow)} {word}; {len(waiting) - len(chosen)} left as they are.")
    return WELL


def _rehearsed(opened: Stored, workflow: str) -> Iterator[KnownPerson]:
    for known in opened.reads.people():
        prefix = f"{workflow}-{known.head.episode.number}-"
        if known.person is not None and any(identity.startswith(prefix) for identity in known.head.rehearsed):
            yield known


def _say_plan(opened: Stored, known: KnownPerson, workflow: str) -> None:
    planned = opened.planner().plan(known.partition, sighting_of(known, (workflow,)))
    say(f"{name_of(known)} ({_id(known)}): {planned.why}")
    for run in planned.runs:
        if run.workflow == workflow:
            for line in run_lines(replace(run, verdict=Verdict.ACT, why="when it is chosen"), opened.policy(), texts=False):
                say(f"  {line}")


def _choose(meant: Sequence[KnownPerson], choice: Choice, promotion: Promotion) -> list[KnownPerson]:
    word = "run" if promotion is Promotion.RUN else "drop"
    if choice.everything or choice.people:
        return list(meant) if choice.yes or agreed(f"{word.capitalize()} these {len(meant)}?") else []
    if not can_ask():
        say(f"\nNothing was chosen: `--all` or `--person WHO`, with `--yes`, says which to {word}.")
        return []
    return [known for known in meant if agreed(f"{word.capitalize()} {name_of(known)}?")]


def _id(known: KnownPerson) -> str:
    return known.partition.rpartition(":")[2]
