"""Keeps the head's grants: begun and ended in the commit that decides about the membership, and looked at when the next one ends by its date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from joinery.domain import roles
from joinery.domain.changes import Stage
from joinery.domain.events import Fact, RolesChanged
from joinery.domain.guard import Verdict
from joinery.domain.policy import Policy
from joinery.domain.roles import Grant
from joinery.engine.journal import Head

#: How often an ending is looked at again that nothing could be done about: shadow, a hold, an identity that may not be acted upon.
_STUCK = timedelta(hours=1)


def after_decision(head: Head, decided: Iterable[tuple[Fact, Verdict]], policy: Policy, now: datetime) -> Head:
    """The head once these facts came to that: what no run acts on is passed over. None of them: the baseline has not moved."""
    grants: Mapping[str, Grant] = head.grants
    for fact, verdict in decided:
        if isinstance(fact, RolesChanged) and verdict is Verdict.ACT:
            grants = roles.decided(fact, grants, policy, now)
        elif isinstance(fact, RolesChanged):
            grants = roles.passed_over(fact, grants, now, how=roles.DROPPED if verdict is Verdict.DROP else "")
    if head.episode.stage is not Stage.ACTIVE:
        grants = roles.over(grants)
    return with_grants(head, grants, now)


def with_grants(head: Head, grants: Mapping[str, Grant], now: datetime) -> Head:
    """The head with these grants, and when to look because of them."""
    due = roles.next_ending(grants)
    if due is not None and due <= now:
        due = head.grants_due if head.grants_due is not None and head.grants_due > now else now + _STUCK
    if grants == head.grants and due == head.grants_due:
        return head
    return replace(head, grants=dict(grants), grants_due=due)


def is_due(head: Head, now: datetime) -> bool:
    """Whether the head asks for a look by now: a doubt that is ripe, or a grant that ends."""
    return any(moment is not None and moment <= now for moment in (head.look_again_at, head.grants_due))
