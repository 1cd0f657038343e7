"""End users on the desk: one active user per person, found by directory id, then by address."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass

from adapters.halo import wire
from adapters.halo.answers import BadRequest, NotThere
from adapters.halo.client import HaloClient
from adapters.halo.deadline import Deadline
from adapters.halo.links import DirectoryLink
from adapters.halo.names import NAMES_KEPT, Names
from adapters.halo.places import place_of
from joinery.domain.person import Person
from joinery.domain.policy import DeskPolicy
from joinery.domain.tickets import DeactivateUser, EnsureApprover, EnsureUser, FindUser, ReadBack, UserRef
from joinery.errors import Refused

#: Inactive users have to be asked for (Halo reference section 5).
_ALL = {"includeactive": "true", "includeinactive": "true"}

#: A filtered list with at most this many rows is looked at row by row where it does not show what we compare.
_FEW = 10

#: Seconds for which the look before a create counts for the create itself: they follow each other at once.
_FIND_COUNTS = 2.0
#: So many people can be between the two at the same time.
_FINDS_KEPT = 100
#: Seconds for which a user that was read in full is known, unless we write to it, and how many of them are kept.
_READ_COUNTS, _READS_KEPT = 60.0, 200

#: The flag without which a user cannot answer an approval in the portal.
_MAY_APPROVE = "ischangeapprover2"

_MAILS = ("emailaddress", "email2", "email3")
#: What we read of a user whom we know already.
_SHOWN = ("name", "inactive", "client_id", "site_id", "linked_agent_id", _MAY_APPROVE, *_MAILS)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Match:
    """The desk users that may be this person, each as read in full, lowest id first."""

    #: Carry this person's directory id.
    linked: tuple[wire.Row, ...] = ()
    #: Have the person's address and no directory id.
    free: tuple[wire.Row, ...] = ()
    #: Have the person's address and somebody else's directory id.
    taken: tuple[wire.Row, ...] = ()


class Users:
    """What the desk does with users."""

    def __init__(self, client: HaloClient, names: Names, policy: DeskPolicy) -> None:
        self._client = client
        self._names = names
        self._policy = policy
        #: How a user says which directory account it stands for.
        self.link = DirectoryLink(client.profile.directory_field)
        #: Until when (monotonic) this tenant is known to refuse a search by directory id.
        self._no_id_search_until = 0.0
        #: What the look before an ``ensure`` has just found: person id -> (until when it counts, match).
        self._just_found: dict[str, tuple[float, _Match]] = {}
        #: User id -> (until when it counts, user), as last read in full.
        self._lately: dict[int, tuple[float, wire.Row]] = {}

    def get(self, user_id: str, *, deadline: Deadline | None = None) -> wire.Row:
        """One user in full. Raises NotThere."""
        row = wire.one(self._client, f"/Users/{wire.object_id(user_id, 'user')}", {"includedetails": "true"}, deadline=deadline)
        if (number := wire.number(row.get("id"))) is not None:
            self._keep(number, row)
        return row

    def at(self, address: str, *, deadline: Deadline) -> list[wire.Row]:
        """The users whose first address this is, inactive ones too, each in full, lowest id first."""
        listed = wire.every(self._client, "/Users", {**_ALL, "search": address}, deadline=deadline)
        numbers = {wire.number(row.get("id")) for row in listed if wire.same(wire.text(row, "emailaddress"), address)}
        return [self.get(str(number), deadline=deadline) for number in sorted(one for one in numbers if one is not None)]

    def lately(self, user_id: str, *, deadline: Deadline) -> wire.Row:
        """One user as they were a moment ago, before any write of ours; for what a read-back will look at again. Raises NotThere."""
        until, row = self._lately.get(wire.object_id(user_id, "user"), (0.0, {}))
        return row if self._client.clock.monotonic() < until else self.get(user_id, deadline=deadline)

    def place(self, user_id: str, *, deadline: Deadline) -> wire.Row:
        """The user with their client and site, as a ticket names them. Raises NotThere."""
        return _place_in(self.lately(user_id, deadline=deadline))

    def write(self, row: wire.Row, *, deadline: Deadline) -> None:
        """Change the user with this id; what was read before does not count any more."""
        self._lately.pop(wire.id_of(row, "POST /Users"), None)
        self._client.post("/Users", row, deadline=deadline)

    def find(self, order: EnsureUser | EnsureApprover, *, quick: bool = False, ours: str | None = None) -> tuple[UserRef, ...]:
        """Users that are this person's and need nothing more: linked, active, and with the right to approve where that is asked for.

        ``quick`` is content with the one who is known; every other look asks for twins too.
        """
        deadline = self._client.deadline()
        known = self._known(order, deadline) if quick and isinstance(order, EnsureUser) else None
        match = known or self._match(order.person, deadline, known_id=ours)
        self._remember(order.person, match)
        return tuple(UserRef(id=str(row["id"])) for row in match.linked if not _inactive(row) and not _lacks_right(order, row))

    def ensure(self, order: EnsureUser | EnsureApprover, deadline: Deadline) -> UserRef:
        """Create, adopt or reactivate; an approver gets the right to approve in the same request (``ischangeapprover2``, reference section 5).

        Raises Refused where it is not clear which user is this person's.
        """
        person = order.person
        match = self._recent(person, deadline)
        row = _pick(match, person)
        if row is None and match.taken:
            raise Refused(
                f"user {match.taken[0]['id']} has this person's address and another directory id: two directory accounts claim one desk user"
            )
        if row is None:
            right = {_MAY_APPROVE: True} if isinstance(order, EnsureApprover) else {}
            created = self._client.post("/Users", {**self._new(person, deadline), **right}, deadline=deadline)
            return UserRef(id=str(wire.id_of(created, "POST /Users")), how="created")
        changes: wire.Row = {}
        if not match.linked:
            changes |= self.link.members(person)
        if _inactive(row):
            changes["inactive"] = False
        if _lacks_right(order, row):
            changes[_MAY_APPROVE] = True
        user_id = wire.id_of(row, "GET /Users")
        if changes:
            self.write({"id": user_id, **changes}, deadline=deadline)
        return UserRef(id=str(user_id), how="reactivated" if "inactive" in changes else "adopted" if changes else "found")

    def check_ensured(self, order: EnsureUser | EnsureApprover, result: UserRef) -> ReadBack:
        """Active, linked to this person's directory id, and an approver where one was asked for.

        Where nothing was written because the look found them so, that read is the proof, and is not repeated at once.
        """
        if result.id is None:
            return ReadBack(ok=False, detail="no user was made")
        try:
            row = self._just_seen(order.person, result.id) or self.get(result.id)
        except NotThere:
            return ReadBack(ok=False, detail=f"user {result.id} is not there")
        if _inactive(row):
            return ReadBack(ok=False, detail=f"user {result.id} is still inactive")
        if not self.link.is_persons(row, order.person):
            return ReadBack(ok=False, detail=f"user {result.id} is not linked to the directory account")
        if _lacks_right(order, row):
            return ReadBack(ok=False, detail=f"user {result.id} may not approve")
        return ReadBack(ok=True, detail=f"user {result.id} is active and linked")

    def look_up(self, order: FindUser, deadline: Deadline) -> UserRef:
        """The person's user or none; somebody else's user with the same address is none."""
        match = (None if order.alone else self._known(order, deadline)) or self._match(order.person, deadline, known_id=order.known_id)
        if not match.linked and order.known_id is not None:
            match = self._still(order, order.known_id, deadline) or match
        self._remember(order.person, match)
        row = _pick(match, order.person)
        return UserRef(id=None, how="absent") if row is None else UserRef(id=str(row["id"]), how="found")

    def check_looked_up(self, order: FindUser, result: UserRef) -> ReadBack:
        """No second active user belongs to the same person. It was a read, so what it saw is not read a second time at once."""
        match = self._recent(order.person, self._client.deadline())
        twins = [str(row["id"]) for row in match.linked if not _inactive(row) and str(row["id"]) != result.id]
        if result.id is not None and twins:
            return ReadBack(ok=False, detail=f"besides user {result.id}, {', '.join(twins)} belongs to the same person")
        row = _pick(match, order.person)
        now = None if row is None else str(row["id"])
        if now != result.id:
            return ReadBack(ok=False, detail=f"found {'no user' if now is None else f'user {now}'}, not {result.id or 'none'}")
        return ReadBack(ok=True, detail="there is no user" if now is None else f"user {now} is this person's")

    def owner_of(self, address: str, person: Person, deadline: Deadline) -> int | None:
        """The user with this address who belongs to another directory account than the person's; None if there is none."""
        rows = wire.every(self._client, "/Users", {**_ALL, "search": address}, deadline=deadline)
        for row in rows:
            user_id = wire.number(row.get("id"))
            shown = self.link.shown_in(row) and all(member in row for member in _MAILS)
            if not shown and user_id is not None and (_has_address(row, (address,)) or len(rows) <= _FEW):
                # The published schema knows a list of users without the directory id and the second address.
                with contextlib.suppress(NotThere):
                    row = self.get(str(user_id), deadline=deadline)
            if _has_address(row, (address,)) and self.link.of(row) and not self.link.is_persons(row, person):
                return user_id
        return None

    def deactivate(self, order: DeactivateUser, deadline: Deadline) -> UserRef:
        """Set it inactive; a repeat changes nothing."""
        if order.user_id is None:
            return UserRef(id=None, how="absent")
        user_id = wire.object_id(order.user_id, "user")
        self.write({"id": user_id, "inactive": True}, deadline=deadline)
        return UserRef(id=str(user_id), how="deactivated")

    def check_deactivated(self, order: DeactivateUser) -> ReadBack:
        """``inactive`` is true now."""
        if order.user_id is None:
            return ReadBack(ok=True, detail="there is no user")
        try:
            row = self.get(order.user_id)
        except NotThere:
            return ReadBack(ok=False, detail=f"user {order.user_id} is not there")
        inactive = row.get("inactive") is True
        return ReadBack(ok=inactive, detail=f"user {order.user_id} is {'inactive' if inactive else 'still active'}")

    # --- below: how -----------------------------------------------------------------------------------------------

    def _new(self, person: Person, deadline: Deadline) -> wire.Row:
        place = place_of(person, self._policy, self._names, deadline=deadline)
        row: wire.Row = {**profile_of(person, self._client.profile.manager_field), "client_id": place.client_id, "site_id": place.site_id}
        return {member: value for member, value in row.items() if value != ""} | self.link.members(person) | {"inactive": False}

    def _match(self, person: Person, deadline: Deadline, *, known_id: str | None = None) -> _Match:
        """Ask by directory id; if that finds nobody, by address; where the desk refuses the first question, read the whole list."""
        rows, refused = self._by_directory_id(person, deadline)
        match = self._judged(person, rows, deadline, known_id=known_id)
        if match.linked:
            return match
        addresses = person.addresses
        found: dict[int, wire.Row] = {}
        for address in addresses:
            listed = wire.every(self._client, "/Users", {**_ALL, "search": address}, deadline=deadline)
            found |= {row["id"]: row for row in self._worth_reading(person, addresses, listed) if wire.number(row.get("id")) is not None}
        match = self._judged(person, list(found.values()), deadline)
        if match.linked or not refused:
            return match
        everybody = wire.every(self._client, "/Users", _ALL, deadline=deadline)
        return self._judged(
            person, [row for row in everybody if self.link.is_persons(row, person) or _has_address(row, addresses)], deadline
        )

    def _known(self, order: EnsureUser | FindUser, deadline: Deadline) -> _Match | None:
        """The user that an earlier run made or found, if it still is this person's, and active: then no other one is looked for."""
        match = self._still(order, order.known_id, deadline) if order.known_id is not None else None
        return match if match is not None and not _inactive(match.linked[0]) else None

    def _still(self, order: EnsureUser | FindUser, known_id: str, deadline: Deadline) -> _Match | None:
        try:
            row = self.get(known_id, deadline=deadline)
        except NotThere:
            return None
        return _Match(linked=(row,)) if self.link.is_persons(row, order.person) else None

    def _keep(self, user_id: int, row: wire.Row) -> None:
        if len(self._lately) >= _READS_KEPT:
            self._lately.clear()
        self._lately[user_id] = (self._client.clock.monotonic() + _READ_COUNTS, row)

    def _just_seen(self, person: Person, user_id: str) -> wire.Row | None:
        """The user as the look right before this call read it."""
        until, found = self._just_found.pop(person.id, (0.0, _Match()))
        row = next((row for row in found.linked if str(row["id"]) == user_id), None)
        return row if self._client.clock.monotonic() < until else None

    def _remember(self, person: Person, match: _Match) -> None:
        """For the call that follows this one at once."""
        if len(self._just_found) >= _FINDS_KEPT:
            self._just_found.clear()
        self._just_found[person.id] = (self._client.clock.monotonic() + _FIND_COUNTS, match)

    def _recent(self, person: Person, deadline: Deadline) -> _Match:
        """What the look right before this one found, once; else a new one."""
        until, found = self._just_found.pop(person.id, (0.0, _Match()))
        return found if self._client.clock.monotonic() < until else self._match(person, deadline)

    def _by_directory_id(self, person: Person, deadline: Deadline) -> tuple[list[wire.Row], bool]:
        if self._client.clock.monotonic() < self._no_id_search_until:
            return [], True
        question = json.dumps([{"filter_name": self.link.name, "filter_type": 2, "filter_value": person.id}])
        try:
            rows = wire.page(self._client, "/Users", {**_ALL, "advanced_search": question}, deadline=deadline)
        except BadRequest:
            # Not every tenant allows this field (reference section 5); the lists below answer the same question.
            self._no_id_search_until = self._client.clock.monotonic() + NAMES_KEPT.total_seconds()
            return [], True
        linked = [row for row in rows if self.link.is_persons(row, person)]
        unseen = [row for row in rows if not self.link.shown_in(row)]
        # A full page without a hit means that the filter was ignored: then the answer says nothing about who is there.
        return linked or (unseen if len(unseen) <= _FEW else []), not linked and len(rows) > _FEW

    def _judged(self, person: Person, rows: list[wire.Row], deadline: Deadline, *, known_id: str | None = None) -> _Match:
        """Read each candidate in full and sort it; a list row may be old, cut or wrongly filtered.

        The user whom an earlier run knew to be this person's, and whom the list shows as theirs, is not read for that once more.
        """
        listed = {wire.number(row.get("id")): row for row in rows if str(row.get("id")) == known_id and self._is_shown(row, person)}
        addresses = person.addresses
        linked: list[wire.Row] = []
        free: list[wire.Row] = []
        taken: list[wire.Row] = []
        for user_id in sorted({found for row in rows if (found := wire.number(row.get("id"))) is not None}):
            try:
                row = listed.get(user_id) or self.get(str(user_id), deadline=deadline)
            except NotThere:
                continue
            self._keep(user_id, row)
            if wire.number(row.get("id")) != user_id or wire.same(wire.text(row, "name"), "General User"):
                continue
            if self.link.is_persons(row, person):
                linked.append(row)
            elif _has_address(row, addresses):
                (taken if self.link.of(row) else free).append(row)
        return _Match(linked=tuple(linked), free=tuple(free), taken=tuple(taken))

    def _worth_reading(self, person: Person, addresses: tuple[str, ...], rows: list[wire.Row]) -> list[wire.Row]:
        seen = [row for row in rows if self.link.is_persons(row, person) or _has_address(row, addresses)]
        unseen = [row for row in rows if row not in seen and not all(member in row for member in _MAILS)]
        # The search looks at three address fields, the rows it lists need not show them.
        return seen + unseen if len(rows) <= _FEW else seen

    def _is_shown(self, row: wire.Row, person: Person) -> bool:
        """Whether a row of a list shows as much of the person's user as the user alone does."""
        whole = all(member in row for member in _SHOWN) and isinstance(row["inactive"], bool) and wire.number(row["site_id"]) is not None
        return whole and self.link.is_persons(row, person)


def profile_of(person: Person, manager_field: str = "none") -> dict[str, str]:
    """The members of a user that describe the person, each as a one-line text; empty where the directory says nothing."""
    name = wire.line(person.name) or person.id
    first, _, rest = name.partition(" ")
    manager = person.manager
    return {
        "name": name,
        "firstname": wire.line(person.given_name) or first,
        "surname": wire.line(person.surname) or rest,
        "emailaddress": wire.line(person.address),
        "title": wire.line(person.job_title),
        "department": wire.line(person.department),
        "login": wire.line(person.user_principal_name),
    } | ({manager_field: wire.line(manager.mail or manager.user_principal_name) if manager else ""} if manager_field != "none" else {})


def _pick(match: _Match, person: Person) -> wire.Row | None:
    """The one user that is this person's. Raises Refused where several could be."""
    if match.linked:
        return min(match.linked, key=lambda row: (_inactive(row), row["id"]))
    addresses = person.addresses
    first_address = [row for row in match.free if any(wire.same(wire.text(row, "emailaddress"), address) for address in addresses)]
    candidates = first_address or list(match.free)
    candidates = [row for row in candidates if not _inactive(row)] or candidates
    if len(candidates) > 1:
        ids = ", ".join(str(row["id"]) for row in candidates)
        raise Refused(f"users {ids} share this person's address and none is linked to the directory: merge them, or link one")
    return candidates[0] if candidates else None


def _has_address(row: wire.Row, addresses: tuple[str, ...]) -> bool:
    return any(wire.same(wire.text(row, member), address) for member in _MAILS for address in addresses)


def _place_in(row: wire.Row) -> wire.Row:
    """What a ticket says of its user. A site id comes back as a double and is refused as one (reference 2.1)."""
    members = {
        "user_id": wire.number(row.get("id")),
        "client_id": wire.number(row.get("client_id")),
        "site_id": wire.number(row.get("site_id_int")) or wire.number(row.get("site_id")),
    }
    return {member: value for member, value in members.items() if value is not None}


def _lacks_right(order: EnsureUser | EnsureApprover, row: wire.Row) -> bool:
    return isinstance(order, EnsureApprover) and not wire.true(row, _MAY_APPROVE)


def _inactive(row: wire.Row) -> bool:
    return wire.true(row, "inactive")
