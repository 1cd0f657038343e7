"""The switch `strict`: names that the published schema does not know are refused, where the real product ignores them in silence."""

from __future__ import annotations

import json
from typing import Any

from flask import request

from simulators.halo.auth import OURS
from simulators.halo.errors import refused
from simulators.halo.members import Shape
from simulators.halo.published import BODIES, PARAMETERS, UNPUBLISHED
from simulators.halo.query import Query
from simulators.halo.tenant import Tenant, caller


def check_published(tenant: Tenant, query: Query) -> None:
    """400 with a sentence when the present request names a parameter or a body member that is not published, if its caller is held to that."""
    strict = tenant.switches.strict
    if strict == "nobody" or (strict == "ours" and caller().client != OURS):
        return
    what = f"{request.method} {request.path}"
    known = _parameters(request.path) if request.method == "GET" else ()
    for name in query.names():
        if name.partition("[")[0] not in known:
            raise refused(f"The query parameter {name} of {what} is not published, or this stand-in does not know it.")
    if request.method == "POST" and request.path in BODIES:
        schema, shape = BODIES[request.path]
        _check(_json(), shape, UNPUBLISHED.get(schema, frozenset()), schema, "")


def _parameters(path: str) -> tuple[str, ...]:
    above, _, last = path.rpartition("/")
    return PARAMETERS.get(path) or (PARAMETERS.get(f"{above}/{{id}}", ()) if last != "me" else ())


def _check(value: Any, shape: Shape, unpublished: frozenset[str], schema: str, place: str) -> None:
    if isinstance(value, list):
        for at, item in enumerate(value):
            _check(item, shape, unpublished, schema, f"{place}[{at}]")
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in shape or name in unpublished:
                raise refused(f"The body member {place}.{name} is not published for {schema}, or this stand-in does not know it.")
            kind = shape[name]
            if not isinstance(kind, str):
                _check(inner, kind, frozenset(), f"{schema}.{name}", f"{place}.{name}")


def _json() -> Any:
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError):
        return None
