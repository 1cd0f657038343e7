"""What every route of the pretend Halo shares: the query, applying an array of rows, and the answer to a write."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import Response, g, request

from simulators.halo.errors import HaloError
from simulators.halo.members import Doc
from simulators.halo.query import Query
from simulators.halo.tenant import Tenant


def query() -> Query:
    """The query string of the present request."""
    found: Query | None = g.get("query")
    if found is None:
        found = g.query = Query(request.args.items(multi=True))
    return found


def answer(body: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(body, ensure_ascii=False), status=status, mimetype="application/json")


def error_answer(error: HaloError) -> Response:
    """The answer to a refusal; an empty body stays empty."""
    response = Response(status=error.status) if error.body is None else answer(error.body, error.status)
    response.headers.extend(error.headers)
    return response


def apply(
    tenant: Tenant, rows: list[Doc], save: Callable[[Doc], Doc], show: Callable[[Doc], Doc], *, known: Callable[[Doc], bool]
) -> Response:
    """Apply the rows of a POST one after the other and answer the last one, or all with `returnall=true`.

    201 when a row was new (`known` says which are not), else 200. Each row stands or falls alone: those before a refused one stay applied.
    """
    saved: list[Doc] = []
    status = 200
    for row in rows:
        try:
            with tenant.state.transaction():
                status = status if known(row) else 201
                saved.append(save(row))
        except HaloError as error:
            return error_answer(error)
    shown = [show(doc) for doc in saved] if query().flag("returnall") else show(saved[-1])
    return answer(shown, status)
