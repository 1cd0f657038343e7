"""A person's grants as one run sees them: a live run reads and writes the head, a rehearsal imagines what would be decided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from joinery.domain import roles
from joinery.domain.approvers import Approval
from joinery.domain.changes import Stage
from joinery.domain.events import RolesChanged
from joinery.domain.policy import Policy
from joinery.domain.roles import Grant, GrantState, Membership, Wanted
from joinery.domain.tickets import Order, SetRoles
from joinery.engine import codec, granting
from joinery.engine.journal import HELD, HELD_FOR, Head, Run
from joinery.engine.partition import Partition
from joinery.engine.surroundings import Surroundings
from joinery.errors import Waiting

#: Stored as the value of a step: learned at import, like every class that is stored.
_WANTED = codec.stored(Wanted)


class RoleBook:
    """The grants, and what follows from them."""

    def __init__(self, partition: Partition, run: Run, around: Surroundings) -> None:
        self._partition = partition
        self._run = run
        self._policy = around.policy
        self._imagined: dict[str, Grant] | None = None
        fact: Any = codec.untag(run.fact)
        self._gains = run.mode == "live" and isinstance(fact, RolesChanged) and bool(fact.gained)
        if run.mode != "live":
            grants = partition.head.grants
            changed = isinstance(fact, RolesChanged)
            self._imagined = roles.decided(fact, grants, self._policy, run.started_at) if changed else dict(grants)

    @property
    def grants(self) -> dict[str, Grant]:
        """Group -> its last membership."""
        return self._partition.head.grants if self._imagined is None else self._imagined

    def wanted(self) -> Wanted:
        """Desired state at this moment."""
        if self._imagined is not None:
            return roles.wanted(self._run.person.groups, Stage.ACTIVE, self._imagined, self._policy)
        return wanted_now(self._partition.head, self._policy)

    def answered(self, membership: Membership, approval: Approval, ticket_id: str) -> None:
        """Write an answer down. A membership that has ended, or a later one of the same group, stays as it is.

        So does one that gives its role already and is not approved once more: it gives it until its date.
        """
        known = self.grants.get(membership.group)
        stays = known is not None and known.state is GrantState.GRANTED and not approval.approved
        if known is not None and known.nth == membership.nth and known.state is not GrantState.ENDED and not stays:
            now = self._partition.clock.now()
            self._keep(membership.group, roles.answered(known, membership.role, approval, now, ticket_id=ticket_id))

    def limit(self, groups: Iterable[str], until: datetime) -> None:
        """What these give ends then, or when it would have ended before."""
        for group in groups:
            known = self.grants.get(group)
            if known is not None and known.state is GrantState.GRANTED and (known.until is None or known.until > until):
                self._keep(group, replace(known, until=until))

    def up_to_date(self, order: Order, about: str) -> Order:
        """An order about the desired roles, with what is wanted at this moment: the target may have moved since it was asked for.

        Raises Waiting where it would give somebody a role whose account is disabled, and nobody has decided yet whether they leave.
        """
        if not isinstance(order, SetRoles) or about != roles.DESIRED:
            return order
        head = self._partition.head
        if self._gains and head.episode.stage is Stage.ACTIVE and head.known.seen is not None and not head.known.seen.account_enabled:
            until = self._partition.clock.now() + HELD_FOR
            raise Waiting(until=until, why=f"{HELD}the account is disabled, and whether they leave is not decided")
        fresh = asking_for(order, self.wanted(), self._policy)
        if order.agent_id is None and fresh.roles:
            # Nothing was wanted when this run looked for an agent. What is wanted since is given by the run that brought it, with its agent.
            fresh = replace(fresh, roles=(), as_they_are=tuple(sorted({*fresh.as_they_are, *fresh.roles})))
        return fresh

    def _keep(self, group: str, grant: Grant) -> None:
        """The head's from the next commit on, and the audit has it."""
        if self._imagined is not None:
            self._imagined[group] = grant
            return
        partition = self._partition
        partition.head = granting.with_grants(partition.head, {**partition.head.grants, group: grant}, partition.clock.now())
        partition.audit("role decided", f"{group}: {grant.state}", run=self._run.id, group=group, grant=codec.to_document(grant))


def wanted_now(head: Head, policy: Policy) -> Wanted:
    """Desired state by what was last decided."""
    groups = head.known.baseline.groups if head.known.baseline else frozenset()
    return roles.wanted(groups, head.episode.stage, head.grants, policy)


def asking_for(order: SetRoles, wanted: Wanted, policy: Policy) -> SetRoles:
    """The order with this as its target."""
    return replace(order, roles=wanted.roles, ours=wanted.ours, as_they_are=wanted.as_they_are, alone=policy.roles_alone)
