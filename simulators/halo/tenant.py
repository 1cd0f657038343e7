"""One Halo tenant: its documents, clock, faults and switches, and who is calling."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from flask import g, has_request_context, request

from simulators.clock import SimClock
from simulators.faults import FaultBook, FaultRule
from simulators.halo.errors import not_found, refused
from simulators.halo.members import Doc
from simulators.halo.switches import Switches
from simulators.halo.values import halo_date
from simulators.state import StateFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who a token stands for."""

    #: The API application, which is also the name under which its writes are recorded.
    client: str
    #: An application acts as an agent of its own; an agent or a user came with a password.
    kind: Literal["application", "agent", "user"]
    agent_id: int = 0
    user_id: int = 0
    name: str = ""
    scopes: frozenset[str] = frozenset({"all"})

    @property
    def is_user(self) -> bool:
        """True for somebody in the portal, who sees and does less than an agent."""
        return self.kind == "user"

    def may(self, *scopes: str) -> bool:
        """Whether the token carries one of the scopes, or one that includes them."""
        return bool(self.scopes & {"all", "all:standard", *scopes})


@dataclass(kw_only=True, slots=True)
class Tenant:
    """Everything that a route needs. Changes are made inside `state.transaction()`, which every request opens."""

    state: StateFile
    clock: SimClock
    faults: FaultBook
    switches: Switches
    #: Call times per client within the rolling window.
    windows: dict[str, list[datetime]] = field(default_factory=dict)

    #: Ids of tokens that were revoked before their time.
    revoked: set[str] = field(default_factory=set)

    def now(self) -> str:
        """Now, as Halo writes it."""
        return halo_date(self.clock.now())

    def rows(self, kind: str) -> list[Mapping[str, Any]]:
        """All documents of a kind."""
        return self.state.all(kind)

    def row(self, kind: str, key: object) -> Doc | None:
        """A copy of one document, None when there is none."""
        found = self.state.get(kind, str(key))
        return None if found is None else dict(found)

    def knows(self, kind: str) -> Callable[[Mapping[str, Any]], bool]:
        """Whether a row of a POST body is an update of an existing one."""
        return lambda row: (row.get("id") or 0) > 0 and self.row(kind, row["id"]) is not None

    def put(self, kind: str, key: object, doc: Mapping[str, Any]) -> None:
        """Store a document."""
        self.state.put(kind, str(key), doc)

    def drop(self, kind: str, key: object) -> None:
        """Remove a document."""
        self.state.delete(kind, str(key))

    def next_id(self, kind: str) -> int:
        """The next integer id of a kind, leaving out those that were given by hand."""
        number = self.state.next(kind)
        while self.state.get(kind, str(number)) is not None:
            number = self.state.next(kind)
        return number

    def name_of(self, kind: str, key: object) -> str:
        """The name of a row that another one points to, empty when it is gone."""
        found = self.state.get(kind, str(key))
        return "" if found is None else str(found.get("name", ""))

    def shown_application(self, who: Caller) -> str:
        """What stands in `actionby_application_id`: the client id, or the name of the application (a switch)."""
        return f"{who.client.title()} for Halo" if self.switches.application_named and who.client else who.client

    def fault(self, kind: str) -> FaultRule | None:
        """A rule of this kind that strikes the present request, counted as used."""
        return self.faults.take_kind(kind, request.method, request.path) if has_request_context() else None


def check_unknown_id(tenant: Tenant) -> None:
    """Refuse an update of what is not there, unless a switch says that it makes something new."""
    if tenant.switches.unknown_id == "not_found":
        raise not_found()
    if tenant.switches.unknown_id == "refused":
        raise refused("Object reference not set to an instance of an object.")


def new_guid() -> str:
    """A random GUID in lower case."""
    return str(uuid.uuid4())


def caller() -> Caller:
    """Who makes the present request."""
    found: Caller = g.caller
    return found
