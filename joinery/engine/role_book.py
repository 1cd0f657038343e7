"""A person's grants as one run sees them: a live run reads and writes the head, a rehearsal imagines what would be decided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from joinery.domain import roles
from joinery.domain.changes import Stage
from joinery.domain.events import RolesChanged
from joinery.domain.roles import Grant, GrantState, Wanted
from joinery.engine import codec, granting
from joinery.engine.journal import Run
from joinery.engine.partition import Partition
from joinery.engine.surroundings import Surroundings

#: Stored as the value of a step: learned at import, like every class that is stored.
_WANTED = codec.stored(Wanted)


class RoleBook:
    """The grants, and what follows from them."""

    def __init__(self, partition: Partition, run: Run, around: Surroundings) -> None:
        self._partition = partition
        self._run = run
        self._policy = around.policy
        self._imagined: dict[str, Grant] | None = None
        if run.mode != "live":
            fact: Any = codec.untag(run.fact)
            grants = partition.head.grants
            changed = isinstance(fact, RolesChanged)
            self._imagined = roles.decided(fact, grants, self._policy, run.started_at) if changed else dict(grants)

    @property
    def grants(self) -> dict[str, Grant]:
        """Group -> its last membership."""
        return self._partition.head.grants if self._imagined is None else self._imagined

    def wanted(self) -> Wanted:
        """Desired state at this moment."""
        head = self._partition.head
        if self._imagined is not None:
            return roles.wanted(self._run.person.groups, Stage.ACTIVE, self._imagined, self._policy)
        groups = head.known.baseline.groups if head.known.baseline else frozenset()
        return roles.wanted(groups, head.episode.stage, head.grants, self._policy)

    def remember(self, group: str, grant: Grant) -> None:
        """The head's grant of this membership is this from the next commit on, and the audit has it."""
        if self._imagined is not None:
            self._imagined[group] = grant
            return
        known = self._partition.head.grants.get(group)
        if known is None or known.nth != grant.nth or known.state is GrantState.ENDED:
            return
        partition = self._partition
        partition.head = granting.with_grants(partition.head, {**partition.head.grants, group: grant}, partition.clock.now())
        evidence = codec.to_document(replace(grant, since=known.since))
        partition.audit("role decided", f"{group}: {grant.state}", run=self._run.id, group=group, **evidence)
