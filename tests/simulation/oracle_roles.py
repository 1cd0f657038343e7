"""What must be true of moves and roles: from HR's story, from what the managers said, and from what is on the desk; nothing of the engine."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.operating import APPLY
from tests.simulation.story import ROLES, Character, scenes
from tests.simulation.theme import PROBLEMS

if TYPE_CHECKING:
    from tests.simulation.records import Outcome


@dataclass(frozen=True, slots=True)
class Meant:
    """What a group stood for, by all rules that were ever in force."""

    role: str
    #: A manager may have been asked for it; a manager must have been.
    may_ask: bool
    must_ask: bool
    #: It stands for it to the end: whoever is in the group no more has the role no more.
    stays: bool


def stood_for(outcome: Outcome) -> Iterator[tuple[str, Meant]]:
    """Each group that ever stood for a role. An edit that nobody applied takes away, and gives nothing."""
    first, *edited = (dict(rules.roles) for rules in outcome.history.theme.all_rules)
    applied = any(word.what == APPLY for word in outcome.words)
    for group in sorted(set(first).union(*edited)):
        rules = [roles[group] for roles in (first, *(edited if applied else ())) if group in roles]
        if rules:
            asks = [rule.asks for rule in rules]
            yield group, Meant(rules[0].role, any(asks), all(asks), all(group in roles for roles in edited))


#: Fields whose change is a move.
_POST = ("department", "manager")


def moves(character: Character) -> int:
    """How often the post changed, at most."""
    told = scenes(character)
    return sum(
        one.person is not None
        and before.person is not None
        and any(getattr(one.person, name) != getattr(before.person, name) for name in _POST)
        for before, one in itertools.pairwise(told)
    )


def memberships(character: Character, group: str) -> int:
    """How often a membership of a group began, at most; whoever is restored or comes back is in it anew."""
    told = scenes(character)
    began = sum(
        one.person is not None and group in one.person.groups and not (before.person is not None and group in before.person.groups)
        for before, one in itertools.pairwise(told)
    )
    again = sum(
        one.state == "here" and one.person is not None and group in one.person.groups and _out(before) and not _out(one)
        for before, one in itertools.pairwise(told)
    )
    return began + again if began else 0


def _out(scene: Any) -> bool:
    return scene.state != "here" or scene.person is None or not scene.person.account_enabled


def asked_for(character: Character) -> bool:
    """Whether anything ever happened that a mover or a role run may be about."""
    return moves(character) > 0 or any(memberships(character, group) for group in (*ROLES, PROBLEMS))


def complaints(outcome: Outcome, character: Character, agents: list[Any], *, settled: bool) -> Iterator[tuple[str, str]]:
    """``lost``, ``wrong`` or ``duplicated`` with a sentence. ``settled``: how the person stands at the end is certain, and they are active."""
    tickets = [ticket for ticket in outcome.desk.tickets if f"Directory id: {character.id}" in ticket.details]
    late = {landing.key for landing in outcome.landings if landing.late}
    once = {ticket.id: ticket for ticket in tickets if ticket.key not in late}
    if moves(character) < sum(ticket.kind == "move" for ticket in once.values()):
        yield "wrong", f"{character.id}: more move tickets than moves"
    begun = Counter(ticket.summary.split(":")[0] for ticket in once.values() if ticket.kind == "role")
    for group, meant in stood_for(outcome):
        role = meant.role
        if begun[f"Role {role}"] > (memberships(character, group) if meant.may_ask else 0):
            yield "duplicated", f"{character.id}: {begun[f'Role {role}']} requests for {role}, {memberships(character, group)} memberships"
        if character.desk == "agent":
            # What was given by hand before we came is another story.
            continue
        has = any(role in agent.roles for agent in agents)
        if has and not memberships(character, group):
            yield "wrong", f"{character.id}: has the role {role}, and was never in {group}"
        if has and meant.must_ask and not _approved(outcome, tickets):
            yield "wrong", f"{character.id}: has the role {role}, and nobody approved it"
        last = scenes(character)[-1].person
        if has and settled and meant.stays and last is not None and group not in last.groups:
            yield "lost", f"{character.id}: has the role {role}, and is in {group} no more"


def _approved(outcome: Outcome, tickets: list[Any]) -> bool:
    ids = {ticket.id for ticket in tickets}
    return any(said.counts and said.approved and said.ticket in ids for said in outcome.said)
