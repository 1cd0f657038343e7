"""The switch `strict`: names that the published contract does not know are refused, where the real product ignores them.

Names that real tenants take although the schema of September 2024 lacks them are let through.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import request

from simulators.halo.errors import refused
from simulators.halo.members import words
from simulators.halo.query import Query
from simulators.halo.tenant import Tenant

_UNPUBLISHED_PARAMETERS = frozenset({"returnall"})
_UNPUBLISHED_MEMBERS = frozenset(
    words(
        "userlookup team_id who relationship aaduserid networklogin guid filter_type batch_method batch_delay_seconds batch_limit "
        "infinite_loop_threshold auto_disable_attempts notify_on_failure use_lightweight_logs _match_thirdparty_id _match_integration_id "
        "_match_integration_name"
    )
)


def check_published(tenant: Tenant, query: Query) -> None:
    """400 with a sentence when the present request names a parameter or a body member that is not published. Does nothing unless switched on."""
    if not tenant.switches.strict or tenant.contract is None:
        return
    operation = _operation(tenant.contract, request.path, request.method)
    if operation is None:
        return
    known = {name.lower() for name in operation.get("query", ())} | _UNPUBLISHED_PARAMETERS
    for name in query.names():
        if name.partition("[")[0] not in known:
            raise refused(f"The query parameter {name} of {request.method} {request.path} is not published.")
    if request.is_json and isinstance(operation.get("body"), str):
        _check(tenant.contract["bodies"], operation["body"], _json(), "")


def _operation(contract: Mapping[str, Any], path: str, method: str) -> Mapping[str, Any] | None:
    wanted = path.lower().split("/")
    best: Mapping[str, Any] | None = None
    for template, operations in contract["paths"].items():
        parts = template.lower().split("/")
        if len(parts) == len(wanted) and all(part == got or part.startswith("{") for part, got in zip(parts, wanted, strict=True)):
            found: Mapping[str, Any] | None = operations.get(method)
            if "{" not in template:
                return found
            best = best or found
    return best


def _check(bodies: Mapping[str, Any], kind: str, value: Any, place: str) -> None:
    kind = kind.removeprefix("array of ")
    if isinstance(value, list):
        for at, item in enumerate(value):
            _check(bodies, kind, item, f"{place}[{at}]")
    elif isinstance(value, dict) and kind in bodies:
        for name, inner in value.items():
            if name not in bodies[kind] and name not in _UNPUBLISHED_MEMBERS:
                raise refused(f"The body member {place}.{name} is not published for {kind}.")
            if isinstance(bodies[kind].get(name), str):
                _check(bodies, bodies[kind][name], inner, f"{place}.{name}")


def _json() -> Any:
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError):
        return None
