"""What is wrong with a policy file, in the words of TOML: for a person who knows the file and not the program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from joinery.errors import Finding
from joinery.policy_tables import PolicyTable

_LOOK = "config/policy.example.toml shows what it should look like."
#: What pydantic calls a wrong kind of value -> what it should be.
_KINDS = {
    "string": "a text in quotes",
    "float": "a number",
    "finite": "a number",
    "int": "a number",
    "bool": "true or false",
    "date": "a date: 2026-12-25",
    "dict": "a table",
    "model": "a table",
}
#: A key that people look for, and that is not there on purpose -> why, and what to do.
_NOT_OFFERED = {
    ("leaver", "directory", "disable"): (
        "is not offered: a leave begins with a disabled or deleted account, so whoever is enabled when Joinery could disable them has come back",
        "Let HR or the on-premises directory disable the account, which is what starts the leaver; remove this key.",
    )
}


def finding(place: str, data: Mapping[str, Any], item: Mapping[str, Any]) -> Finding:
    """One of pydantic's errors ("validation_errors" lists their types) as a person meets it who knows the file and not the program."""
    kind, value, bounds = str(item["type"]), item["input"], item.get("ctx") or {}
    where: tuple[int | str, ...] = item["loc"]
    of_key = kind != "extra_forbidden" and where[-1] == "[key]"
    if of_key:
        where = where[:-1]
    while where and isinstance(_value(where[:-1], data), str):
        # A text that stands for a table or a list: what the file has is the text.
        where = where[:-1]
    at = f"{place}: {_place(where, data)}"
    if kind == "extra_forbidden" and where in _NOT_OFFERED:
        problem, remedy = _NOT_OFFERED[where]
        return Finding(place=at, problem=problem, remedy=remedy)
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
    if kind == "string_pattern_mismatch":
        wanted = 'It should be "none", "manager", "owner:MAIL", or a list of such' if "approval" in where else "It should be a mail address"
        return Finding(place=at, problem=f"is {_shown(value)}", remedy=f"{wanted}; {_LOOK}")
    if kind in ("enum", "literal_error"):
        allowed = re.findall(r"'([^']*)'", str(bounds["expected"]))
        return Finding(place=at, problem=f"is {_shown(value)}", remedy=_did_you_mean(str(value), allowed))
    return Finding(place=at, problem=f"is {_shown(value)}", remedy=f"It should be {_wanted(kind, where, bounds)}; {_LOOK}")


def _wanted(kind: str, where: tuple[int | str, ...], bounds: Mapping[str, Any]) -> str:
    """What a value should be."""
    if kind in ("tuple_type", "list_type"):
        return "a list of tables, each below [[desk.site_rules]]" if where == ("desk", "site_rules") else "a list of texts"
    if where[0] == "roles" and len(where) == 2:
        return "a text in quotes, the role, or a table"
    if kind == "greater_than":
        return f"a number that is more than {bounds['gt']:g}"
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
    kind: Any = PolicyTable
    for part in where:
        if _is_table(kind):
            kind = _plain(kind.model_fields[str(part)].annotation)
        else:
            # dict[key, value] or tuple[row, ...]: one step further in.
            kind = _plain(get_args(kind)[1 if isinstance(part, str) else 0])
    return list(kind.model_fields) if _is_table(kind) else list(get_args(get_args(kind)[0]))


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _plain(kind: Any) -> Any:
    """Without what may stand around a type: ``| None``, and what runs before it is read."""
    if get_origin(kind) is Annotated:
        return get_args(kind)[0]
    return get_args(kind)[0] if type(None) in get_args(kind) else kind
