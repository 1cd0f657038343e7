"""Habits and faults that strike whole requests and answers: lists that lie, dates in another zone, reports that fail with 200."""

from __future__ import annotations

import json
import re
from datetime import timedelta

from flask import Flask, Response, request

from simulators.halo.errors import forbidden, misbound
from simulators.halo.http import answer
from simulators.halo.query import Query, read_json
from simulators.halo.tenant import Tenant, caller
from simulators.halo.values import halo_date, is_unset, read_date

_PAGING = re.compile(r"pageinate|page_no|page_size|count|order(desc)?[2-5]?|include\w*|nocache")
#: Where a parameter is no filter but says what is asked for.
_ADDRESSED = ("/api/actions", "/api/lookup")
_DATE = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,7})?)"')


def misread(tenant: Tenant, asked: Query) -> Query:
    """The query as Halo takes it: `filter_ignored` leaves nothing but pages and order, `page_repeated` answers each page with the first."""
    if request.method != "GET":
        return asked
    if not request.path.startswith(_ADDRESSED) and tenant.fault("filter_ignored"):
        asked = asked.only(lambda name: _PAGING.fullmatch(name) is not None)
    if asked.text("page_no") not in ("", "1") and tenant.fault("page_repeated"):
        asked = asked.only(lambda name: name != "page_no")
    return asked


def add_habits(app: Flask, tenant: Tenant) -> None:
    """What happens to answers on their way out, and `/Report`."""

    @app.after_request
    def told(response: Response) -> Response:
        if not response.is_json or not request.path.startswith("/api/"):
            return response
        if b'"record_count"' in response.data and (rule := tenant.fault("wrong_count")):
            body = json.loads(response.data)
            response.data = json.dumps(body | {"record_count": rule.body if isinstance(rule.body, int) else 0}, ensure_ascii=False)
        if minutes := tenant.switches.utc_offset:
            response.data = _DATE.sub(lambda found: _moved(found[0], found[1].decode(), minutes), response.data)
        return response

    @app.post("/api/report")
    def report() -> Response:
        """Ad-hoc SQL, of which this stand-in knows none: an error comes as 200 with `load_error`, as the real one has it for bad SQL."""
        if caller().is_user or not caller().may("edit:reporting"):
            raise forbidden()
        rows = read_json(request)
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise misbound("", "The request body has to be an array of objects.")
        failed = {"rows": [], "available_columns": [], "loaded": False, "load_error": "Incorrect syntax: this stand-in knows no SQL."}
        return answer({"id": 0, "sql": str(rows[-1].get("sql") or ""), "report": failed})


def _moved(whole: bytes, text: str, minutes: int) -> bytes:
    """A date as a tenant shows it that writes its local time; the sentinels for "unset" stay."""
    return whole if is_unset(text) else f'"{halo_date(read_date(text) + timedelta(minutes=minutes))}"'.encode()


def rewritten(markup: str) -> str:
    """HTML as an editor of the tenant's leaves it: other tags, signs as entities."""
    return f'<div class="note">{markup.replace("<p>", "<div>").replace("</p>", "</div>").replace("[", "&#91;").replace("]", "&#93;")}</div>'
