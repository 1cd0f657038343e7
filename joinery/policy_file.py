"""Reads policy from TOML: validated as a whole, all findings at once, each with its place and remedy."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from joinery.domain.policy import (
    BreakerPolicy,
    DeskPolicy,
    IdentityPolicy,
    KindRule,
    Policy,
    Ring,
    RolePolicy,
    SiteRule,
    TicketPolicy,
    Timing,
    WorkflowPolicy,
)
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


class _Breaker(_Table):
    hourly_min: int = Field(default=5, ge=0, le=1_000_000)
    hourly_share: float = Field(default=0.01, ge=0, le=1)
    daily_min: int = Field(default=20, ge=0, le=1_000_000)
    daily_share: float = Field(default=0.03, ge=0, le=1)


class _Ticket(_Table):
    ticket_type: Name
    team: Name
    adopt_similar: bool = False


class _Desk(_Table):
    default_client: Name = "Contoso"
    default_site: Name = "Head Office"
    site_rules: tuple[_SiteRule, ...] = ()
    tickets: dict[Literal["onboarding", "offboarding", "alert"], _Ticket] = Field(default_factory=dict)


class _Policy(_Table):
    joiner: _Joiner = _Joiner()
    workflows: dict[Literal["joiner", "leaver"], _Workflow] = Field(default_factory=dict)
    roles: dict[Name, Name] | None = None
    identity: _Identity = _Identity()
    timing: _Timing = _Timing()
    breaker: _Breaker = _Breaker()
    desk: _Desk = _Desk()


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
        parsed = _Policy.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError([_finding(place, data, item) for item in error.errors()]) from None
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
        roles={group: RolePolicy(role=role) for group, role in parsed.roles.items()} if parsed.roles is not None else defaults.roles,
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


# --- findings, in the words of TOML ---

_LOOK = "config/policy.example.toml shows what it should look like."
#: What pydantic calls a wrong kind of value -> what it should be.
_KINDS = {
    "string": "a text in quotes",
    "float": "a number",
    "finite": "a number",
    "int": "a number",
    "bool": "true or false",
    "dict": "a table",
    "model": "a table",
}


def _finding(place: str, data: Mapping[str, Any], item: Mapping[str, Any]) -> Finding:
    """One of pydantic's errors ("validation_errors" lists their types) as a person meets it who knows the file and not the program."""
    kind, value, bounds = str(item["type"]), item["input"], item.get("ctx") or {}
    where: tuple[int | str, ...] = item["loc"]
    of_key = kind != "extra_forbidden" and where[-1] == "[key]"
    if of_key:
        where = where[:-1]
    at = f"{place}: {_place(where, data)}"
    if kind == "extra_forbidden" or (of_key and kind == "literal_error"):
        is_table = isinstance(_value(where, data), dict) or _is_tables(_value(where, data))
        known = _known_keys(where[:-1])
        return Finding(
            place=at, problem=f"is no {'table' if is_table else 'key'} that policy knows", remedy=_did_you_mean(str(where[-1]), known)
        )
    if kind == "missing":
        return Finding(place=at, problem="is missing", remedy=f"Add it; {_LOOK}")
    if kind == "string_too_long":
        return Finding(place=at, problem=f"is {len(value)} characters long", remedy=f"It should have at most {bounds['max_length']}.")
    if kind == "string_too_short":
        return Finding(place=at, problem=f"is {value!r}", remedy=f"It should not be empty; {_LOOK}")
    if kind in ("enum", "literal_error"):
        allowed = re.findall(r"'([^']*)'", str(bounds["expected"]))
        return Finding(place=at, problem=f"is {_shown(value)}", remedy=_did_you_mean(str(value), allowed))
    return Finding(place=at, problem=f"is {_shown(value)}", remedy=f"It should be {_wanted(kind, where, bounds)}; {_LOOK}")


def _wanted(kind: str, where: tuple[int | str, ...], bounds: Mapping[str, Any]) -> str:
    """What a value should be."""
    if kind in ("tuple_type", "list_type"):
        return "a list of tables, each below [[desk.site_rules]]" if where == ("desk", "site_rules") else "a list of texts"
    if kind == "greater_than_equal":
        return f"a number that is at least {bounds['ge']:g}"
    if kind == "less_than_equal":
        return f"a number that is at most {bounds['le']:g}"
    return _KINDS.get(kind.partition("_")[0], "something else")


def _did_you_mean(written: str, allowed: list[str]) -> str:
    meant = get_close_matches(written, allowed, n=1, cutoff=0.6)
    return f"Did you mean {meant[0]}? There is: {', '.join(allowed)}." if meant else f"There is: {', '.join(allowed)}; {_LOOK}"


def _place(where: tuple[int | str, ...], data: Mapping[str, Any]) -> str:
    """``[desk] default_site``; ``[[desk.site_rules]] number 1, attribute``; ``[identity.service] groups, number 2``."""
    tables: list[str] = []
    rest: list[str] = []
    double = False
    for at, part in enumerate(where):
        value = _value(where[: at + 1], data)
        if isinstance(part, int):
            rest.append(f"number {part + 1}")
        elif not rest and (isinstance(value, dict) or _is_tables(value)):
            tables.append(_key(part))
            double = not isinstance(value, dict)
        else:
            rest.append(_key(part))
    name = ".".join(tables)
    shown = f"[[{name}]]" if double else f"[{name}]" if name else ""
    return " ".join(part for part in (shown, ", ".join(rest)) if part)


def _value(where: tuple[int | str, ...], data: Any) -> Any:
    """What stands at a place; None where nothing does."""
    for part in where:
        try:
            data = data[part]
        except (LookupError, TypeError):
            return None
    return data


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _key(part: int | str) -> str:
    """A key as TOML writes it: bare where that is possible."""
    return str(part) if re.fullmatch(r"[A-Za-z0-9_-]+", str(part)) else f'"{part}"'


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else f"{value[:60]}…")
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, (list, tuple)) else str(value)


def _known_keys(where: tuple[int | str, ...]) -> list[str]:
    """The keys that the table at a place may have."""
    kind: Any = _Policy
    for part in where:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation
        else:
            # dict[key, value] or tuple[row, ...]: one step further in.
            kind = get_args(kind)[1 if isinstance(part, str) else 0]
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else list(get_args(get_args(kind)[0]))
