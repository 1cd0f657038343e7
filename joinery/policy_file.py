"""Reads policy from TOML: validated as a whole, all findings at once, each with its place and remedy."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from joinery.domain.policy import DeskPolicy, IdentityPolicy, KindRule, Policy, Ring, SiteRule, TicketPolicy, Timing, WorkflowPolicy
from joinery.errors import ConfigurationError, Finding

#: A name that people gave to something: not empty, not padded.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]

#: The workflows that policy may switch.
WORKFLOWS: tuple[Literal["joiner", "leaver"], ...] = ("joiner", "leaver")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Joiner(_Table):
    group: Name = "ITSM-NewJoiner"


class _Workflow(_Table):
    ring: Ring = Ring.EVERYONE


class _KindRule(_Table):
    upn_prefixes: tuple[Name, ...] | None = None
    employee_types: tuple[Name, ...] | None = None
    groups: tuple[Name, ...] | None = None


class _Identity(_Table):
    protected: _KindRule = _KindRule()
    shared_mailbox: _KindRule = _KindRule()
    service: _KindRule = _KindRule()


class _Timing(_Table):
    settle_seconds: float = Field(default=60, ge=0, le=86_400)
    second_look_seconds: float = Field(default=60, ge=0, le=86_400)
    flap_window_minutes: float = Field(default=10, ge=0, le=1_440)
    completion_window_hours: float = Field(default=48, ge=0, le=720)


class _SiteRule(_Table):
    attribute: Literal["department", "office_location", "company_name", "job_title", "employee_type"]
    value: Name
    client: Name
    site: Name


class _Ticket(_Table):
    ticket_type: Name
    team: Name
    adopt_similar: bool = False


class _Desk(_Table):
    default_client: Name = "Contoso"
    default_site: Name = "Head Office"
    site_rules: tuple[_SiteRule, ...] = ()
    tickets: dict[Literal["onboarding", "offboarding"], _Ticket] = Field(default_factory=dict)


class _Policy(_Table):
    joiner: _Joiner = _Joiner()
    workflows: dict[Literal["joiner", "leaver"], _Workflow] = Field(default_factory=dict)
    roles: dict[Name, Name] | None = None
    identity: _Identity = _Identity()
    timing: _Timing = _Timing()
    desk: _Desk = _Desk()


def read_policy(path: Path) -> Policy:
    """The policy in a file.

    Raises:
        ConfigurationError: it does not exist, is no TOML, or breaks a rule; every finding is in it.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        remedy = "Copy config/policy.example.toml there, or set JOINERY_POLICY to the file you mean."
        raise ConfigurationError([Finding(place=str(path), problem=f"cannot be read ({error.strerror})", remedy=remedy)]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([Finding(place=str(path), problem="is not UTF-8", remedy="Save it as UTF-8.")]) from None
    return parse_policy(text, place=path.name)


def parse_policy(text: str, *, place: str) -> Policy:
    """The policy in a text; ``place`` names it in findings. Raises ConfigurationError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([Finding(place=place, problem=f"is not valid TOML: {error}", remedy="Mend the line it names.")]) from None
    try:
        parsed = _Policy.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError([_finding(place, item["loc"], item["msg"], item.get("input")) for item in error.errors()]) from None
    policy = _as_records(parsed)
    findings = list(_contradictions(policy, place))
    if findings:
        raise ConfigurationError(findings)
    return policy


def _as_records(parsed: _Policy) -> Policy:
    defaults = Policy()
    tickets: dict[str, TicketPolicy] = {kind: TicketPolicy(**table.model_dump()) for kind, table in parsed.desk.tickets.items()}
    return Policy(
        joiner_group=parsed.joiner.group,
        roles=dict(parsed.roles) if parsed.roles is not None else defaults.roles,
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
        workflows={name: WorkflowPolicy(ring=parsed.workflows.get(name, _Workflow()).ring) for name in WORKFLOWS},
        desk=DeskPolicy(
            default_client=parsed.desk.default_client,
            default_site=parsed.desk.default_site,
            site_rules=tuple(SiteRule(**rule.model_dump()) for rule in parsed.desk.site_rules),
            tickets={**defaults.desk.tickets, **tickets},
        ),
    )


def _rule(table: _KindRule, default: KindRule) -> KindRule:
    """A key that is not in the file keeps its default: leaving out a list must not take protection away."""
    return KindRule(
        upn_prefixes=default.upn_prefixes if table.upn_prefixes is None else table.upn_prefixes,
        employee_types=default.employee_types if table.employee_types is None else table.employee_types,
        groups=default.groups if table.groups is None else table.groups,
    )


def _contradictions(policy: Policy, place: str) -> list[Finding]:
    findings = []
    protected = policy.identity.protected
    if not (protected.upn_prefixes or protected.employee_types or protected.groups):
        findings.append(
            Finding(
                place=f"{place}: [identity.protected]",
                problem="protects nobody",
                remedy='Name at least your break-glass accounts: upn_prefixes = ["breakglass"] or groups = ["ITSM-BreakGlass"].',
            )
        )
    findings += [
        Finding(
            place=f"{place}: [identity.{kind}] groups",
            problem=f"{policy.joiner_group!r} is also the joiner group, so nobody could ever join",
            remedy="Use two different groups.",
        )
        for kind in ("protected", "shared_mailbox", "service")
        if policy.joiner_group in getattr(policy.identity, kind).groups
    ]
    if policy.joiner_group in policy.roles:
        findings.append(
            Finding(
                place=f"{place}: [roles]",
                problem=f"{policy.joiner_group!r} is also the joiner group",
                remedy="Use a group of its own for the role.",
            )
        )
    return findings


def _finding(place: str, where: tuple[int | str, ...], message: str, value: object) -> Finding:
    *tables, key = [str(part) for part in where if part != "[key]"] or ["the file"]
    table = f"[{'.'.join(tables)}] " if tables else ""
    if message == "Extra inputs are not permitted":
        return Finding(
            place=f"{place}: {table}{key}",
            problem="is no key that policy knows",
            remedy="Look at config/policy.example.toml, which lists every key; check the spelling.",
        )
    shown = f"{value!r}" if isinstance(value, (str, int, float, bool)) else f"a {type(value).__name__}"
    return Finding(
        place=f"{place}: {table}{key}",
        problem=f"is {shown}",
        remedy=f"{message}; config/policy.example.toml shows what it should look like.",
    )
