"""Policy edits: what an edit takes away is gone at once, what it adds or changes waits until somebody applies it.

Three tables of a policy make facts out of people who have not changed: who is a joiner, which groups stand for which roles, and what kind
of identity an account is. Of these, the rules that were last applied are in force; everything else in a policy file is in force at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from joinery.domain.changes import Known, interpret
from joinery.domain.events import Fact
from joinery.domain.identity import classify
from joinery.domain.person import Person
from joinery.domain.policy import IdentityPolicy, KindRule, Policy, RolePolicy, Timing
from joinery.domain.roles import Grant, with_what_stands_no_more

_AT_ONCE = Timing(settle_time=timedelta(0), second_look=timedelta(0), flap_window=timedelta(0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """The part of a policy that makes facts."""

    joiner_group: str
    #: Group display name -> what membership stands for.
    roles: dict[str, RolePolicy]
    identity: IdentityPolicy


def rules_of(policy: Policy) -> Rules:
    """The rules as a policy says them."""
    return Rules(joiner_group=policy.joiner_group, roles=dict(policy.roles), identity=policy.identity)


def kept(applied: Rules, policy: Policy) -> Rules:
    """The applied rules once this policy is in use: a group it does not name any more is forgotten, and what it protects is protected.

    Forgotten, so that a group that comes back later waits as a new one does.
    """
    old, new = applied.identity, policy.identity
    return Rules(
        joiner_group=applied.joiner_group,
        roles={group: applied.roles[group] for group in policy.roles if group in applied.roles},
        identity=IdentityPolicy(
            protected=_both(old.protected, new.protected),
            shared_mailbox=_both(old.shared_mailbox, new.shared_mailbox),
            service=_both(old.service, new.service),
        ),
    )


def in_force(applied: Rules, policy: Policy) -> Policy:
    """The policy that is acted upon while an edit may wait."""
    rules = kept(applied, policy)
    return replace(policy, joiner_group=rules.joiner_group, roles=rules.roles, identity=rules.identity)


def waiting(applied: Rules, policy: Policy) -> Iterator[str]:
    """What of a policy waits to be applied, a line each."""
    rules = kept(applied, policy)
    if rules.joiner_group != policy.joiner_group:
        yield f"[joiner] group: {rules.joiner_group} -> {policy.joiner_group}"
    for group, rule in policy.roles.items():
        before = rules.roles.get(group)
        if before is None:
            yield f"[roles] {group}: new, gives {rule.role}, {_asks(rule)}"
        elif before != rule:
            yield f"[roles] {group}: {before.role}, {_asks(before)} -> {rule.role}, {_asks(rule)}{_more(before, rule)}"
    for kind in ("protected", "shared_mailbox", "service"):
        lost = sorted(_texts(getattr(rules.identity, kind)) - _texts(getattr(policy.identity, kind)))
        if lost:
            yield f"[identity.{kind}] recognises no longer: {', '.join(lost)}"


def facts_of_edit(known: Known, grants: Mapping[str, Grant], before: Policy, after: Policy, now: datetime) -> tuple[Fact, ...]:
    """The facts about somebody, as last seen, that are there under the new rules and not under those in force. Pure."""
    old = _facts(known, grants, before, now)
    return tuple(fact for fact in _facts(known, grants, after, now) if fact not in old)


def under(person: Person, policy: Policy) -> Person:
    """The person with those groups alone that this policy watches: a group that waits has no say yet."""
    watched = frozenset(policy.watched_groups)
    return person if person.groups <= watched else person.evolve(groups=person.groups & watched)


def _facts(known: Known, grants: Mapping[str, Grant], policy: Policy, now: datetime) -> tuple[Fact, ...]:
    seen = known.seen
    if seen is None or not classify(seen, policy.identity).may_be_acted_upon:
        return ()
    reading = interpret(replace(known, doubts={}), under(seen, policy), replace(policy, timing=_AT_ONCE), now)
    return with_what_stands_no_more(reading, grants, policy).facts


def _both(old: KindRule, new: KindRule) -> KindRule:
    return KindRule(
        upn_prefixes=tuple(dict.fromkeys((*new.upn_prefixes, *old.upn_prefixes))),
        employee_types=tuple(dict.fromkeys((*new.employee_types, *old.employee_types))),
        groups=tuple(dict.fromkeys((*new.groups, *old.groups))),
    )


def _texts(rule: KindRule) -> set[str]:
    return {*rule.upn_prefixes, *rule.employee_types, *rule.groups}


def _asks(rule: RolePolicy) -> str:
    if not rule.approval:
        return "without approval"
    return f"approved by {(' or ' if rule.any_approval else ' and ').join(rule.approval)}"


def _more(before: RolePolicy, after: RolePolicy) -> str:
    """What else differs, where the words before it do not say so."""
    names = [name for name in ("team", "lasts", "administrator", "on_refused") if getattr(before, name) != getattr(after, name)]
    return f" (also {', '.join(names)})" if names else ""
