"""What a policy must not say, however well it is written: rules that fight, and roads that lead nowhere."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import combinations
from zoneinfo import ZoneInfo

from joinery.domain.policy import NoApprover, Policy, Ring, RolePolicy
from joinery.errors import Finding

#: A role with such a name may change the desk itself, whatever ``administrator`` says.
_ADMINISTRATOR = re.compile(r"\b(super[ -]?)?admin(istrator)?s?\b", re.IGNORECASE)
#: Causes of ``[approvals]`` that a walk from anybody's manager can meet.
_CAUSES = ("missing", "disabled", "away", "guest", "themself", "circle", "above")


def contradictions(policy: Policy, place: str, *, named: Collection[str] = ()) -> list[Finding]:
    """Everything that contradicts itself. ``named``: the tables that stand in the file; what is only default is not complained about."""
    return [
        *_groups(policy, place),
        *_roles(policy, place),
        *_fights(policy, place),
        *(_fallback(policy, place) if {"roles", "approvals"} & set(named) else ()),
        *_working_time(policy, place),
        *_rings(policy, place),
        *_cut_off(policy, place),
    ]


def _groups(policy: Policy, place: str) -> Iterator[Finding]:
    protected = policy.identity.protected
    if not (protected.upn_prefixes or protected.employee_types or protected.groups):
        yield Finding(
            place=f"{place}: [identity.protected]",
            problem="protects nobody",
            remedy='Name at least your break-glass accounts: upn_prefixes = ["breakglass"] or groups = ["ITSM-BreakGlass"].',
        )
    for kind in ("protected", "shared_mailbox", "service"):
        if policy.joiner_group in getattr(policy.identity, kind).groups:
            yield Finding(
                place=f"{place}: [identity.{kind}] groups",
                problem=f"{policy.joiner_group!r} is also the joiner group, so nobody could ever join",
                remedy="Use two different groups.",
            )
    if policy.joiner_group in policy.roles:
        yield Finding(
            place=f"{place}: [roles]",
            problem=f"{policy.joiner_group!r} is also the joiner group",
            remedy="Use a group of its own for the role.",
        )


def _roles(policy: Policy, place: str) -> Iterator[Finding]:
    for group, rule in policy.roles.items():
        if not rule.approval and (rule.administrator or _ADMINISTRATOR.search(rule.role)):
            yield Finding(
                place=f'{place}: [roles."{group}"] approval',
                problem=f"gives the administrator role {rule.role!r} to whoever is put into the group, and nobody is asked",
                remedy='Say who decides: approval = "manager", or approval = ["manager", "owner:MAIL"].',
            )
        if len(set(rule.approval)) < len(rule.approval):
            yield Finding(place=f'{place}: [roles."{group}"] approval', problem="names somebody twice", remedy="Name each approver once.")


def _fights(policy: Policy, place: str) -> Iterator[Finding]:
    """Two groups for one role: whoever is kept out by the stricter walks in by the laxer."""
    for (one, first), (other, second) in combinations(policy.roles.items(), 2):
        if first.role.casefold() == second.role.casefold() and _asks(first) != _asks(second):
            yield Finding(
                place=f'{place}: [roles."{other}"] approval',
                problem=f"gives {second.role!r} as {one!r} does, and asks others for it: the laxer rule opens the stricter",
                remedy="Ask the same people in both, or keep one of the two groups.",
            )


def _asks(rule: RolePolicy) -> tuple[bool, frozenset[str]]:
    return rule.any_approval and len(rule.approval) > 1, frozenset(one.casefold() for one in rule.approval)


def _fallback(policy: Policy, place: str) -> Iterator[Finding]:
    approvals = policy.approvals
    leads = [cause for cause in _CAUSES if getattr(approvals, cause) is NoApprover.FALLBACK]
    asking = [group for group, rule in policy.roles.items() if "manager" in rule.approval]
    if leads and asking and not approvals.fallback:
        yield Finding(
            place=f"{place}: [approvals] fallback",
            problem=f"is not set, and {', '.join(leads)} lead to it where [roles] asks a manager ({', '.join(sorted(asking))})",
            remedy='Name who decides where no manager can: fallback = "it.lead@contoso.example".',
        )
    if "owner" in {str(getattr(approvals, cause)) for cause in _CAUSES}:
        without = sorted(group for group in asking if not any(one.startswith("owner:") for one in policy.roles[group].approval))
        if without and not approvals.fallback:
            yield Finding(
                place=f"{place}: [approvals] fallback",
                problem=f"is not set, and a rule leads to the owner of a role, whom these do not name: {', '.join(without)}",
                remedy='Name an owner in their approval ("owner:MAIL"), or a fallback.',
            )


def _working_time(policy: Policy, place: str) -> Iterator[Finding]:
    working = policy.approvals.working
    try:
        ZoneInfo(working.zone)
    except (KeyError, OSError, ValueError):
        yield Finding(
            place=f"{place}: [approvals] zone",
            problem=f"is {working.zone!r}, which is no time zone",
            remedy='Use a name of the IANA list, e.g. "Europe/Berlin".',
        )
    if working.ends <= working.begins:
        yield Finding(
            place=f"{place}: [approvals] ends",
            problem=f"is {working.ends}, and work begins at {working.begins}: there is no working time",
            remedy="Let it end after it begins: begins = 9, ends = 17.",
        )
    if not working.days:
        yield Finding(
            place=f"{place}: [approvals] days", problem="is empty: there is no working time", remedy='For example: days = ["mon", "tue"].'
        )
    if policy.approvals.escalate_after >= policy.approvals.gives_up_after:
        yield Finding(
            place=f"{place}: [approvals] gives_up_hours",
            problem="comes before the next manager up is asked (escalate_hours)",
            remedy="Let gives_up_hours be more than escalate_hours.",
        )


def _rings(policy: Policy, place: str) -> Iterator[Finding]:
    for name, workflow in policy.workflows.items():
        if workflow.ring is Ring.PILOT and not workflow.pilot_group:
            yield Finding(
                place=f"{place}: [workflows.{name}] pilot_group",
                problem="is missing, and the ring is pilot: nobody would be in it",
                remedy='Name the group: pilot_group = "ITSM-Pilot".',
            )
        if workflow.ring is Ring.DEPARTMENTS and not workflow.departments:
            yield Finding(
                place=f"{place}: [workflows.{name}] departments",
                problem="is missing, and the ring is departments: nobody would be in it",
                remedy='Name them as the directory does: departments = ["Finance"].',
            )


def _cut_off(policy: Policy, place: str) -> Iterator[Finding]:
    if policy.cut_off.keep_groups and not policy.cut_off.remove_from_groups:
        yield Finding(
            place=f"{place}: [leaver.directory] keep_groups",
            problem="keeps groups, and nobody is taken out of any",
            remedy="Set remove_from_groups = true, or leave this key out.",
        )
