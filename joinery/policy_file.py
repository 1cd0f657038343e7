"""Reads policy from TOML: validated as a whole, all findings at once, each with its place and remedy."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

from pydantic import ValidationError

from joinery.domain.policy import (
    ApprovalPolicy,
    BreakerPolicy,
    CutOffPolicy,
    DeskPolicy,
    IdentityPolicy,
    KindRule,
    MoverPolicy,
    Policy,
    RolePolicy,
    SiteRule,
    TicketPolicy,
    Timing,
    WorkflowPolicy,
    WorkingTime,
)
from joinery.errors import ConfigurationError, Finding
from joinery.policy_findings import finding
from joinery.policy_rules import contradictions
from joinery.policy_tables import DAYS, WORKFLOWS, ApprovalsTable, KindTable, PolicyTable, RoleTable, WorkflowTable


def read_policy(path: Path, *, place: str = "") -> Policy:
    """The policy in a file; ``place`` names it in findings, otherwise its path does.

    Raises:
        ConfigurationError: it does not exist, is no TOML, or breaks a rule; every finding is in it.
    """
    place = place or str(path)
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        remedy = "Copy config/policy.example.toml there, or set JOINERY_POLICY to the file you mean."
        raise ConfigurationError([Finding(place=place, problem=f"cannot be read ({error.strerror})", remedy=remedy)]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([Finding(place=place, problem="is not UTF-8", remedy="Save it as UTF-8.")]) from None
    return parse_policy(text, place=place)


def parse_policy(text: str, *, place: str) -> Policy:
    """The policy in a text; ``place`` names it in findings. Raises ConfigurationError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([Finding(place=place, problem=f"is not valid TOML: {error}", remedy="Mend the line it names.")]) from None
    try:
        parsed = PolicyTable.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError([finding(place, data, item) for item in error.errors()]) from None
    policy = _as_records(parsed)
    findings = contradictions(policy, place, named=parsed.model_fields_set)
    if findings:
        raise ConfigurationError(findings)
    return policy


def _as_records(parsed: PolicyTable) -> Policy:
    defaults = Policy()
    tickets: dict[str, TicketPolicy] = {kind: TicketPolicy(**table.model_dump()) for kind, table in parsed.desk.tickets.items()}
    return Policy(
        joiner_group=parsed.joiner.group,
        roles={group: _role(table) for group, table in parsed.roles.items()} if parsed.roles is not None else defaults.roles,
        roles_alone=parsed.agents.foreign_roles == "remove",
        approvals=_approvals(parsed.approvals),
        mover=MoverPolicy(old_access_lasts=timedelta(days=parsed.mover.old_access_days)),
        cut_off=CutOffPolicy(**parsed.leaver.directory.model_dump()),
        identity=IdentityPolicy(
            protected=_rule(parsed.identity.protected, defaults.identity.protected),
            shared_mailbox=_rule(parsed.identity.shared_mailbox, defaults.identity.shared_mailbox),
            service=_rule(parsed.identity.service, defaults.identity.service),
        ),
        timing=Timing(
            settle_time=timedelta(seconds=parsed.timing.settle_seconds),
            second_look=timedelta(seconds=parsed.timing.second_look_seconds),
            flap_window=timedelta(minutes=parsed.timing.flap_window_minutes),
            completion_window=timedelta(hours=parsed.timing.completion_window_hours),
        ),
        breaker=BreakerPolicy(**parsed.breaker.model_dump()),
        workflows={name: WorkflowPolicy(**parsed.workflows.get(name, WorkflowTable()).model_dump()) for name in WORKFLOWS},
        desk=DeskPolicy(
            default_client=parsed.desk.default_client,
            default_site=parsed.desk.default_site,
            site_rules=tuple(SiteRule(**rule.model_dump()) for rule in parsed.desk.site_rules),
            approval_process=parsed.desk.approval_process,
            awaiting_status=parsed.desk.awaiting_status,
            closed_status=parsed.desk.closed_status,
            tickets={**defaults.desk.tickets, **tickets},
        ),
    )


def _role(table: RoleTable) -> RolePolicy:
    return RolePolicy(
        role=table.role,
        team=table.team,
        approval=table.approval,
        any_approval=table.approvals == "any",
        lasts=timedelta(days=table.max_days) if table.max_days is not None else None,
        administrator=table.administrator,
        on_refused=table.on_refused,
    )


def _approvals(table: ApprovalsTable) -> ApprovalPolicy:
    return ApprovalPolicy(
        fallback=table.fallback,
        away_groups=table.away_groups,
        levels=table.levels,
        missing=table.missing,
        disabled=table.disabled,
        away=table.away,
        guest=table.guest,
        themself=table.themself,
        circle=table.circle,
        above=table.above,
        remind_after=timedelta(hours=table.remind_hours),
        escalate_after=timedelta(hours=table.escalate_hours),
        gives_up_after=timedelta(hours=table.gives_up_hours),
        working=WorkingTime(
            zone=table.zone,
            days=tuple(sorted({DAYS.index(day) for day in table.days})),
            begins=table.begins,
            ends=table.ends,
            holidays=tuple(day.isoformat() for day in table.holidays),
        ),
    )


def _rule(table: KindTable, default: KindRule) -> KindRule:
    """A key that is not in the file keeps its default: leaving out a list must not take protection away."""
    return KindRule(
        upn_prefixes=default.upn_prefixes if table.upn_prefixes is None else table.upn_prefixes,
        employee_types=default.employee_types if table.employee_types is None else table.employee_types,
        groups=default.groups if table.groups is None else table.groups,
    )
