"""The door for what the desk posts: who may knock, and which ticket ids a body may mean. Nothing else of a body is ever used."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from joinery.engine.intake import Unacceptable

#: A body larger than this is not read.
BODY_MAX = 256 * 1024
#: More ids than this in one body are no batch of a desk.
_IDS_MAX = 1000
#: Where a ticket's id may stand: the vendor does not publish the names.
MEMBERS = ("object_id", "ticket_id", "id", "ticket.id", "faultid")
#: Where the application may stand that did what a post tells of.
ACTORS = ("action.actionby_application_id", "actionby_application_id")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class DeskDoor:
    """Closed, as if it were not there, unless all three are set."""

    secret: str = ""
    user: str = ""
    password: str = ""
    #: Member paths with dots, tried in every object of the body; lists on the way are gone through.
    members: tuple[str, ...] = MEMBERS
    #: The names under which the desk shows what we did ourselves; empty: every post is a hint.
    ourselves: frozenset[str] = frozenset()
    #: Member paths at which one of those names may stand.
    actors: tuple[str, ...] = ACTORS

    def read(self, body: bytes, *, secret: str, authorization: str) -> tuple[str, ...]:
        """Everything in the body that may be a ticket's id, each once; what we did ourselves is no news and left out.

        A post that says so falsely costs one hint: the poll finds what it would have told.

        Raises:
            Unacceptable: 404 for a wrong secret or a closed door, 401 for wrong credentials, 413 for too much, 400 for what is no JSON.
        """
        if not (self.secret and self.user and self.password) or not _equal(self.secret, secret):
            raise Unacceptable(404, "not found")
        if not self._is_known(authorization):
            raise Unacceptable(401, "wrong credentials")
        if len(body) > BODY_MAX:
            raise Unacceptable(413, f"the body is larger than {BODY_MAX // 1024} KB")
        try:
            document = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Unacceptable(400, "the body is no JSON") from None
        news = [event for event in _events(document) if not self._is_ours(event)]
        ids = tuple(dict.fromkeys(one for path in self.members for one in _values_at(news, path.split(".")) if _ID.fullmatch(one)))
        if len(ids) > _IDS_MAX:
            raise Unacceptable(413, f"the body names more than {_IDS_MAX} ids")
        return ids

    def _is_ours(self, event: Any) -> bool:
        names = {name.casefold() for name in self.ourselves}
        return any(one.strip().casefold() in names for path in self.actors for one in _values_at(event, path.split(".")))

    def _is_known(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            given = ""
        return _equal(f"{self.user}:{self.password}", given) and scheme.casefold() == "basic"


def _equal(left: str, right: str) -> bool:
    """In a time that does not tell how far they agree."""
    return hmac.compare_digest(left.encode(), right.encode("utf-8", "replace"))


def _events(document: Any) -> list[Any]:
    """Each thing that a post tells of: a desk that batches sends a list."""
    return document if isinstance(document, list) else [document]


def _values_at(value: Any, path: list[str]) -> Iterator[str]:
    """The texts and numbers that stand at a path, in every element of each list on the way."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        current, depth = waiting.pop()
        if isinstance(current, list):
            waiting.extend((one, depth) for one in reversed(current))
        elif depth < len(path):
            if isinstance(current, dict) and path[depth] in current:
                waiting.append((current[path[depth]], depth + 1))
        elif isinstance(current, (str, int)) and not isinstance(current, bool):
            yield str(current)
