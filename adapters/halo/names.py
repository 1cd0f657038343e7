"""Names in the policy, ids on the desk. Ids differ per tenant, so policy speaks in names, and this file looks them up."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta

from adapters.halo import wire
from adapters.halo.client import HaloClient
from adapters.halo.deadline import Deadline
from joinery.errors import Refused

#: How long a list of names is believed.
NAMES_KEPT = timedelta(hours=1)

#: How many existing names a refusal lists.
NAMES_SHOWN = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Noun:
    """One list of named things: where it is, and how its pages are asked for."""

    title: str
    path: str
    query: dict[str, str]
    paged: bool = False


TICKET_TYPE = Noun(title="ticket type", path="/TicketType", query={"showall": "true"})
TEAM = Noun(title="team", path="/Team", query={"showall": "true"})
CLIENT = Noun(title="client", path="/Client", query={"includeactive": "true"}, paged=True)
SITE = Noun(title="site", path="/Site", query={"includeactive": "true"}, paged=True)
STATUS = Noun(title="status", path="/Status", query={})
OUTCOME = Noun(title="outcome", path="/Outcome", query={})
FIELD = Noun(title="custom field", path="/FieldInfo", query={})
ROLE = Noun(title="role", path="/Roles", query={})
APPROVAL_PROCESS = Noun(title="approval process", path="/ApprovalProcess", query={})


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A named thing on the desk. ``id`` is a number, or a GUID for roles; ``client_id`` only for sites."""

    id: int | str
    name: str
    client_id: int | None = None


class Names:
    """Name -> id, kept in memory for an hour and asked for again, once, when a name is missing."""

    def __init__(self, client: HaloClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._lists: dict[str, tuple[float, tuple[Named, ...]]] = {}

    def resolve(self, noun: Noun, name: str, *, policy_key: str, client_id: int | None = None, deadline: Deadline | None = None) -> Named:
        """The thing with this name; letters' case is forgiven where that is not ambiguous.

        Raises:
            Refused: there is none, or more than one; the message names the policy key and what exists.
            TryLater: the desk does not answer.
        """
        found = self._matches(noun, name, client_id, deadline)
        if len(found) == 1:
            return found[0]
        if found:
            raise Refused(
                f"policy.toml: {policy_key} = {name!r}: {len(found)} of the desk's {noun.title}s have this name; rename all but one"
            )
        shown = self.existing(noun, client_id=client_id, deadline=deadline)
        raise Refused(f"policy.toml: {policy_key} = {name!r}: the desk has no such {noun.title}. It has: {shown}")

    def count(self, noun: Noun, name: str, *, client_id: int | None = None) -> int:
        """How many things have this name. Raises TryLater or Refused."""
        return len(self._matches(noun, name, client_id, None))

    def existing(self, noun: Noun, *, client_id: int | None = None, deadline: Deadline | None = None) -> str:
        """The names there are, for people; the first dozen."""
        exists = sorted({named.name for named in self._list(noun, deadline) if client_id in (None, named.client_id)})
        shown = ", ".join(exists[:NAMES_SHOWN]) + (f" and {len(exists) - NAMES_SHOWN} more" if len(exists) > NAMES_SHOWN else "")
        return shown or "none"

    def find(self, noun: Noun, *names: str, deadline: Deadline | None = None) -> Named | None:
        """The first of these names that exists, from the list as it is kept; None where none does or the list may not be read."""
        try:
            known = self._list(noun, deadline)
        except Refused:
            return None
        return next((named for name in names for named in known if wire.same(named.name, name)), None)

    def name_of(self, noun: Noun, identity: str, *, deadline: Deadline | None = None) -> str:
        """The name behind an id, for rows that only carry the id; empty where it is unknown."""
        known = self._list(noun, deadline)
        return next((named.name for named in known if wire.same(str(named.id), identity)), "")

    def forget(self) -> None:
        """Ask for every list again: an id that was kept may no longer be there."""
        with self._lock:
            self._lists.clear()

    def _matches(self, noun: Noun, name: str, client_id: int | None, deadline: Deadline | None) -> tuple[Named, ...]:
        for fresh in (False, True):
            cached_before = noun.path in self._lists
            known = [named for named in self._list(noun, deadline, fresh=fresh) if client_id in (None, named.client_id)]
            exact = tuple(named for named in known if named.name == name)
            found = exact or tuple(named for named in known if wire.same(named.name, name))
            if found or not cached_before:
                return found
        return ()

    def _list(self, noun: Noun, deadline: Deadline | None, *, fresh: bool = False) -> tuple[Named, ...]:
        now = self._client.clock.monotonic()
        with self._lock:
            until, known = self._lists.get(noun.path, (0.0, ()))
        if noun.path in self._lists and now < until and not fresh:
            return known
        if noun.paged:
            rows = wire.every(self._client, noun.path, noun.query, deadline=deadline)
        else:
            rows = wire.rows_of(self._client.get(noun.path, noun.query, deadline=deadline), noun.path)
        known = tuple(
            Named(id=_id(row), name=wire.text(row, "name") or wire.text(row, "outcome"), client_id=wire.number(row.get("client_id")))
            for row in rows
            if not wire.true(row, "inactive") and row.get("id") is not None
        )
        with self._lock:
            self._lists[noun.path] = (now + NAMES_KEPT.total_seconds(), known)
        return known


def _id(row: wire.Row) -> int | str:
    found = wire.number(row["id"])
    return found if found is not None else str(row["id"])
