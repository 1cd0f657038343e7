"""Query parameters and JSON bodies as Halo takes them.

Parameter names are matched without regard to case and unknown ones are never looked at. A parameter of the wrong type is a 400 keyed by its
name. A POST body is an array of objects; anything but JSON is 415, a bare object 400 (`HaloITSM reference 2.1`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from flask import Request
from werkzeug.exceptions import BadRequest

from simulators.halo.errors import HaloError, misbound
from simulators.halo.members import Doc, Shape, bind
from simulators.halo.values import read_date


class Query:
    """The query string of one request."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append(value)

    def only(self, wanted: Callable[[str], bool]) -> Query:
        """The same without the parameters that are not wanted."""
        return Query((name, value) for name, values in self._values.items() if wanted(name) for value in values)

    def names(self) -> list[str]:
        """The parameters that were sent, in lower case."""
        return list(self._values)

    def text(self, name: str) -> str:
        """The parameter's text, empty when it was not sent."""
        return self._values.get(name, [""])[0].strip()

    def flag(self, name: str) -> bool:
        """True only for the word true: `orderdesc=1` sorts ascending in the real product."""
        return self.text(name).lower() == "true"

    def integer(self, name: str) -> int | None:
        """A whole number, or None when absent. 400 keyed by the name otherwise."""
        return None if not (text := self.text(name)) else _integer(name, text)

    def id(self, name: str) -> int | None:
        """An id to filter by, or None: 0 and negative ids mean "none" in Halo."""
        number = self.integer(name)
        return number if number is not None and number > 0 else None

    def ids(self, name: str) -> list[int]:
        """Several ids, as repeated parameters, `name[0]=`, or separated by commas."""
        sent = [v for key, values in self._values.items() if key == name or key.startswith(f"{name}[") for v in values]
        return [_integer(name, part.strip()) for value in sent for part in value.strip("[]").split(",") if part.strip()]

    def moment(self, name: str) -> datetime | None:
        """A date, or None when absent. 400 keyed by the name otherwise."""
        text = self.text(name)
        try:
            # A plus sign that was not percent-encoded arrives as a space.
            return read_date(text.replace(" ", "+") if "T" in text else text) if text else None
        except ValueError:
            raise misbound(name, f"The value '{text[:40]}' is not valid.") from None


def _integer(name: str, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise misbound(name, f"The value '{text[:40]}' is not valid.") from None
    return number


def path_id(text: str) -> int:
    """The integer id in a path; 400 keyed `id` when it is no number."""
    return _integer("id", text)


def body_rows(request: Request, shape: Shape) -> list[Doc]:
    """The rows of an array body, bound to `shape`. 415, or 400 keyed by the place of the mistake; no row is applied when one is misbound."""
    rows = read_json(request)
    if not isinstance(rows, list):
        raise misbound("", "Cannot deserialize the current JSON object: the request body has to be an array of objects.")
    if not rows:
        raise misbound("", "A non-empty request body is required.")
    return [bind(row, shape, f"[{at}]") for at, row in enumerate(rows)]


def body_object(request: Request, shape: Shape) -> Doc:
    """The single object body of `/Tickets/Object`."""
    row = read_json(request)
    if not isinstance(row, dict):
        raise misbound("", "The request body has to be one object.")
    return bind(row, shape, "$")


def read_json(request: Request) -> Any:
    """The request's JSON. 415 for another content type, 400 for a body that is none."""
    if not request.is_json:
        raise HaloError(415)
    try:
        found = json.loads(request.get_data(), parse_constant=_no_constant, parse_float=_finite)
        # Half a surrogate pair is valid JSON and no text; it could be neither stored nor answered.
        json.dumps(found, ensure_ascii=False).encode()
        return found
    except (ValueError, RecursionError, BadRequest):
        raise misbound("", "The request body is not valid JSON.") from None


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(text)
    return number


def _no_constant(name: str) -> float:
    raise ValueError(name)
