"""The policy file of a theme's rules: what the engine reads where the oracle reads the story's words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from joinery.domain.policy import BreakerPolicy, CutOffPolicy, Policy, Ring, RolePolicy, WorkflowPolicy
from joinery.testing import everyone
from tests.simulation.answering import brisk
from tests.simulation.cutting import ALUMNI
from tests.simulation.story import GROUPS
from tests.simulation.theme import PILOT, PROBLEMS, URGENT, Rules


def policy_of(rules: Rules, *, cut_off: bool = False) -> Policy:
    """The file. Groups that rules name are kept: who is in them is HR's story, and ours to read."""
    policy = brisk(everyone())
    if cut_off:
        keep = (*GROUPS, PILOT, PROBLEMS, URGENT, ALUMNI)
        policy = replace(policy, cut_off=CutOffPolicy(revoke_sessions=True, remove_from_groups=True, keep_groups=keep))
    ring = Ring(rules.ring)
    narrow = WorkflowPolicy(ring=ring, pilot_group=PILOT if ring is Ring.PILOT else "", departments=rules.departments)
    limits = rules.limits
    breaker = policy.breaker
    if limits is not None:
        breaker = BreakerPolicy(
            hourly_min=limits.hourly, daily_min=limits.daily, wave_min=limits.wave, wave_share=limits.share, urgent_groups=(URGENT,)
        )
    return replace(
        policy,
        workflows={name: narrow if name in rules.narrow else workflow for name, workflow in policy.workflows.items()},
        breaker=breaker,
        roles={
            group: RolePolicy(
                role=rule.role,
                team=rule.team,
                approval=("manager",) if rule.asks else (),
                administrator=rule.role == "Administrator",
            )
            for group, rule in rules.roles
        },
        timing=replace(policy.timing, settle_time=timedelta(seconds=rules.settle)),
    )
