"""What differs between one Halo and another and is published nowhere, each with the default that fits the tenants seen so far.

A profile is a TOML file (`config/halo.example.toml` holds every key); what it leaves out keeps its default. Halo reference 13 lists why
each is here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from joinery.errors import ConfigurationError, Finding

#: What a list of tickets can be asked for, to find one by its key again.
STRATEGIES = ("field", "summary", "recent")
#: Members of a ticket or an action that suppress what a tenant has set up; what they do is not documented, so none is sent by default.
WRITE_FLAGS = ("_dont_fire_automations", "_isimport", "dont_do_rules", "dont_do_databaselookups")
_LINKS = ("azureoid", "third_party_guid")
_MANAGERS = ("manager_email", "admanager", "other1", "other2", "other3", "other4", "other5", "none")
_EXAMPLE = "config/halo.example.toml shows what it should look like."


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rule:
    """What a value may be, for the program and in words."""

    fits: Callable[[Any], bool]
    words: str


def _one_of(*choices: str) -> _Rule:
    return _Rule(fits=lambda value: value in choices, words=f"one of {', '.join(choices)}")


def _some_of(*choices: str, at_least: int = 0) -> _Rule:
    def fits(value: Any) -> bool:
        known = isinstance(value, list) and all(one in choices for one in value)
        return known and at_least <= len(value) == len(set(value))

    return _Rule(fits=fits, words=f"a list of some of {', '.join(choices)}")


def _whole(low: int, high: int) -> _Rule:
    return _Rule(
        fits=lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        words=f"a whole number from {low} to {high}",
    )


def _texts(pattern: str, words: str) -> _Rule:
    return _Rule(
        fits=lambda value: isinstance(value, list) and all(isinstance(one, str) and re.fullmatch(pattern, one) for one in value),
        words=f"a list of {words}",
    )


def _text(pattern: str, words: str) -> _Rule:
    return _Rule(fits=lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None, words=words)


_CODES = _Rule(
    fits=lambda value: isinstance(value, list) and bool(value) and all(isinstance(one, int) and not isinstance(one, bool) for one in value),
    words="a list of whole numbers",
)


def _key(key: str, default: Any, rule: _Rule, help_text: str) -> Any:
    return field(default=default, metadata={"key": key, "rule": rule, "help": help_text})


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantProfile:
    """One Halo's habits. Each field names its table and key, and says what to look at in a tenant."""

    tenant_in: str = _key(
        "auth.tenant_in", "query", _one_of("query", "form", "none"), "where a token request says JOINERY_HALO_TENANT; all three are in use"
    )
    window_seconds: int = _key(
        "rate.window_seconds", 300, _whole(10, 3600), "the rolling window in which JOINERY_HALO_CALLS are counted, in seconds"
    )
    page_size: int = _key("paging.size", 100, _whole(1, 100), "rows on a page; tickets allow at most 100")
    strategies: tuple[str, ...] = _key(
        "correlation.strategies",
        STRATEGIES,
        _some_of(*STRATEGIES, at_least=1),
        "how a ticket is found again by its key, in this order: by the custom field, by the end of the summary, among the newest",
    )
    note_outcomes: tuple[str, ...] = _key(
        "notes.outcomes", ("Private Note", "Internal Note"), _texts(r".{1,100}", "names"), "names of the outcome that leaves a private note"
    )
    note_outcome_id: int = _key("notes.outcome_id", 7, _whole(1, 2**31 - 1), "its id where none has such a name; 7 is built in")
    close_by: str = _key(
        "close.by",
        "either",
        _one_of("either", "status", "action"),
        "how a ticket is closed: by its status, by an action that carries the status, or by whichever the tenant's workflow takes",
    )
    close_outcome: str = _key(
        "close.outcome",
        "",
        _text(r".{0,100}", "a name of at most 100 characters"),
        "name of the outcome of an action that closes; empty: the one of a note",
    )
    approved: tuple[int, ...] = _key("approvals.approved", (1,), _CODES, "`result` of an approval row that was accepted")
    rejected: tuple[int, ...] = _key("approvals.rejected", (2,), _CODES, "`result` of one that was rejected; every other one waits")
    poll_minutes: int = _key(
        "approvals.poll_minutes", 5, _whole(1, 60), "how often tickets that await an approval are listed, in case a webhook was lost"
    )
    role_mode: str = _key(
        "agents.role_mode",
        "roles",
        _one_of("roles", "add_roles"),
        "member in which a role is given: the full list, or only what is new; what is taken away always goes in the full list",
    )
    match_fields: tuple[str, ...] = _key(
        "agents.match_fields",
        ("email", "third_party_guid"),
        _some_of("email", "third_party_guid", at_least=1),
        "what says whose an agent is: its address, and the directory id if a tenant keeps it in third_party_guid",
    )
    directory_field: str = _key(
        "users.directory_field",
        "azureoid",
        _text(
            r"azureoid|third_party_guid|CF[A-Za-z0-9]{1,60}", f"one of {', '.join(_LINKS)}, or the name of a custom field of users (CF…)"
        ),
        "member of a user that holds the directory id",
    )
    manager_field: str = _key(
        "users.manager_field", "manager_email", _one_of(*_MANAGERS), "member of a user that holds the manager's address"
    )
    write_flags: tuple[str, ...] = _key(
        "writes.flags", (), _some_of(*WRITE_FLAGS), "members that are sent as true with every ticket and action, where they are published"
    )
    application: str = _key(
        "webhook.application",
        "",
        _text(r".{0,100}", "a name of at most 100 characters"),
        "name of our API application as Halo shows it beside what it did; its client id is known anyway",
    )
    actors: tuple[str, ...] = _key(
        "webhook.actors",
        ("action.actionby_application_id", "actionby_application_id"),
        _texts(r"\w+(\.\w+)*", "names like action.who"),
        "where the application that did it stands in what a webhook posts",
    )

    def flags_for(self, path: str) -> dict[str, bool]:
        """The flags for a row that is posted to this path, as far as the published schema has them there."""
        return {flag: True for flag in self.write_flags if path in _FLAGGED[flag]}


#: Flag -> the paths whose rows have it (published schema of September 2024).
_FLAGGED = {
    "_dont_fire_automations": ("/Tickets",),
    "_isimport": ("/Tickets", "/Actions"),
    "dont_do_rules": ("/Tickets", "/Actions"),
    "dont_do_databaselookups": ("/Tickets",),
}


def keys() -> tuple[tuple[str, Any, str, str], ...]:
    """(key, default, what it may be, help) of every key, in the order of the file."""
    return tuple((one.metadata["key"], one.default, one.metadata["rule"].words, one.metadata["help"]) for one in fields(TenantProfile))


def read_profile(path: Path) -> TenantProfile:
    """The profile in a file. Raises ConfigurationError with every finding."""
    try:
        data = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        remedy = "Copy config/halo.example.toml there, or leave JOINERY_HALO_PROFILE out."
        raise ConfigurationError([Finding(place=str(path), problem=f"cannot be read ({error.strerror})", remedy=remedy)]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError([Finding(place=str(path), problem=f"is not valid TOML: {error}", remedy="Mend it there.")]) from None
    known: Mapping[str, Field[Any]] = {one.metadata["key"]: one for one in fields(TenantProfile)}
    values: dict[str, Any] = {}
    findings = []
    for key, value in _leaves(data):
        place = f"{path}: {_place(key)}"
        if key not in known:
            meant = get_close_matches(key, known, n=1, cutoff=0.5)
            remedy = f"Did you mean {_place(meant[0])}?" if meant else _EXAMPLE
            findings.append(Finding(place=place, problem="is no key that a Halo profile knows", remedy=remedy))
        elif not known[key].metadata["rule"].fits(value):
            findings.append(Finding(place=place, problem=f"is {value!r}", remedy=f"It should be {known[key].metadata['rule'].words}."))
        else:
            values[known[key].name] = tuple(value) if isinstance(value, list) else value
    profile = TenantProfile(**values)
    if both := set(profile.approved) & set(profile.rejected):
        problem = f"holds {min(both)}, and so does approved"
        findings.append(Finding(place=f"{path}: [approvals] rejected", problem=problem, remedy="A result means one of the two."))
    if findings:
        raise ConfigurationError(findings)
    return profile


def _leaves(data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """``table.key`` and value; what stands outside a table is a key of its own."""
    return [
        (f"{table}.{key}" if key else table, value)
        for table, inner in data.items()
        for key, value in (inner.items() if isinstance(inner, dict) else [("", inner)])
    ]


def _place(key: str) -> str:
    table, _, name = key.rpartition(".")
    return f"[{table}] {name}" if table else name
