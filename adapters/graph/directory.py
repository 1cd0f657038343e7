"""The directory, read through Graph: people, watched groups, and what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import quote

from adapters.graph import batch, members, sessions
from adapters.graph.answers import Asking, NotThere
from adapters.graph.client import GraphClient
from adapters.graph.ids import guid
from adapters.graph.wire import (
    GROUP_CHANGES,
    IDS,
    MANAGER_FIELDS,
    OBJECT,
    OBJECTS,
    PERSON_FIELDS,
    USER,
    USERS,
    WireGroupChange,
    WireObject,
    kind_of,
    moment,
    to_person,
)
from adapters.system import SystemClock
from joinery.domain.groups import DirectGroup, GroupTraits, WatchedGroup
from joinery.domain.person import Absence, DirectReport, Person, Sighting
from joinery.engine.ports import Clock, DeltaPage, LinkExpired
from joinery.errors import Refused, TryLater

Thing = TypeVar("Thing")

#: Group ids that one checkMemberGroups takes ("directoryobject-checkmembergroups").
CHECKED_GROUPS_MAX = 20
#: Group ids that the filter of one delta token takes ("group-delta").
DELTA_GROUPS_MAX = 50
#: Ids that one getByIds takes ("directoryobject-getbyids").
IDS_MAX = 1000
#: Pages of one list; a list of a million people has a thousand.
PAGES_MAX = 2000

#: Sweeps give way to looks when Graph throttles ("throttling-limits"), and their pages may take longer.
SWEEP_HEADERS = {"x-ms-throttle-priority": "low"}
SWEEP_DEADLINE = timedelta(seconds=45)

#: What of a person is followed is sealed into a delta token ("user-delta"): with other fields than these, another token is needed.
_FOLLOWED = f"{','.join(PERSON_FIELDS)},manager"
_MARK = hashlib.sha256(_FOLLOWED.encode()).hexdigest()[:8]

_USER_QUERY = f"$select={','.join(PERSON_FIELDS)},deletedDateTime&$expand=manager($select={','.join(MANAGER_FIELDS)})"


class GraphDirectory:
    """Directory over Microsoft Graph. Needs User.Read.All and Group.Read.All (or GroupMember.Read.All), application permissions.

    What is written goes through ``writer``, which signs in as somebody else; without one, as ``client``. It needs
    GroupMember.ReadWrite.All where policy ends memberships, and User.RevokeSessions.All where it ends sessions.
    """

    def __init__(self, client: GraphClient, *, writer: GraphClient | None = None, clock: Clock | None = None) -> None:
        self._client = client
        self._writer = writer or client
        self._clock = clock or SystemClock()

    def look(self, person_id: str, groups: Iterable[str]) -> Sighting:
        """The person now, with manager and watched groups, in one call; a second one only if they are not there.

        Only Graph's own "no such object" is absence. Whatever else goes wrong, in any part, raises TryLater or Refused: a person
        half read would look like one who lost their groups.
        """
        user_id = _checked(person_id)
        asked = {_checked(group): group for group in groups}
        chunks = list(_chunks(sorted(asked), CHECKED_GROUPS_MAX))
        if len(chunks) >= batch.ITEMS_MAX:
            raise Refused(f"{len(asked)} watched groups are more than one look can check ({CHECKED_GROUPS_MAX * (batch.ITEMS_MAX - 1)})")
        items = [batch.Item(id="user", method="GET", path=f"/users/{user_id}?{_USER_QUERY}")]
        for number, chunk in enumerate(chunks):
            path = f"/users/{user_id}/checkMemberGroups"
            items.append(batch.Item(id=f"groups-{number}", method="POST", path=path, body={"groupIds": list(chunk)}))
        answers = batch.ask(self._client, items, self._clock)
        try:
            user = answers["user"].decode(USER, self._clock)
        except NotThere:
            return self._absence(person_id, user_id)
        if guid(user.id) != user_id:
            raise TryLater("Graph answered with another person than the one asked for")
        if user.deleted_date_time:
            return Absence(id=person_id, soft_deleted=True, deleted_at=moment(user.deleted_date_time))
        held: set[str] = set()
        for item in items[1:]:
            try:
                held.update(found.lower() for found in answers[item.id].decode(IDS, self._clock).value)
            except NotThere:
                # Replicas disagree: one knows the person, the other does not yet, or no longer.
                raise TryLater("Graph knows the person but not their groups; its replicas disagree") from None
        return to_person(user, person_id, frozenset(name for key, name in asked.items() if key in held))

    def resolve_groups(self, names: Iterable[str]) -> tuple[WatchedGroup, ...]:
        """The groups with exactly these display names, all of them where several share one."""
        wanted = list(dict.fromkeys(names))
        found: list[WatchedGroup] = []
        for chunk in _chunks(wanted, batch.ITEMS_MAX):
            items = [batch.Item(id=str(number), method="GET", path=_group_query(name)) for number, name in enumerate(chunk)]
            answers = batch.ask(self._client, items, self._clock)
            for item, name in zip(items, chunk, strict=True):
                page = answers[item.id].decode(OBJECTS, self._clock)
                # Graph compares without case; policy means what it says.
                ids = {group.id.lower() for group in self._all_pages(page.value, page.next_link) if group.display_name == name}
                found.extend(WatchedGroup(name=name, id=id_) for id_ in sorted(ids))
        return tuple(found)

    def people_delta(self, link: str | None) -> DeltaPage:
        """One page of ``/users/delta``: ids of all who changed, came or went. Links carry a mark of the fields that are followed."""
        plain, _, mark = (link or "").partition("#")
        if mark and mark != _MARK:
            raise LinkExpired("the link was made by a release that followed other fields")
        path = f"/users/delta?$select={_FOLLOWED}" if link is None else self._path_of(plain)
        page = self._client.read("GET", path, OBJECTS, headers=_delta_headers(link), deadline=SWEEP_DEADLINE, asking=_asking(link))
        ids = tuple(dict.fromkeys(person.id.lower() for person in page.value))
        return self._delta_page(ids, (), page.next_link, page.delta_link, mark=f"#{_MARK}")

    def groups_delta(self, groups: Iterable[str], link: str | None) -> DeltaPage:
        """One page of ``/groups/delta`` for at most 50 groups, which are sealed into the link. No groups, no changes.

        Raises:
            LinkExpired: start again with None.
            ValueError: more than 50 groups.
        """
        wanted = sorted({_checked(group) for group in groups})
        if len(wanted) > DELTA_GROUPS_MAX:
            raise ValueError(f"one delta token takes at most {DELTA_GROUPS_MAX} groups, not {len(wanted)}")
        if not wanted:
            return DeltaPage()
        these = quote(" or ".join(f"id eq '{group}'" for group in wanted), safe="'")
        path = f"/groups/delta?$select=id,displayName,members&$filter={these}" if link is None else self._path_of(link)
        page = self._client.read("GET", path, GROUP_CHANGES, headers=_delta_headers(link), deadline=SWEEP_DEADLINE, asking=_asking(link))
        people: dict[str, None] = {}
        unclear: dict[str, None] = {}
        for change in page.value:
            _sort_members(change, people, unclear, first=link is None)
        return self._delta_page(tuple(people), tuple(unclear), page.next_link, page.delta_link)

    def group_traits(self, group_id: str) -> GroupTraits:
        """Why members of a group may not be editable, from its properties."""
        return members.traits(self._client, _checked(group_id))

    def remove_member(self, group_id: str, person_id: str) -> None:
        """End a direct membership; one that is not there is fine."""
        members.remove(self._writer, _checked(group_id), _checked(person_id))

    def groups_of(self, person_id: str) -> tuple[DirectGroup, ...]:
        """The groups that list somebody themselves, with what stands in the way of editing them."""
        return members.direct(self._client, _checked(person_id))

    def sessions_valid_from(self, person_id: str) -> datetime | None:
        """From when on sign-ins count."""
        return sessions.valid_from(self._client, _checked(person_id))

    def revoke_sessions(self, person_id: str) -> None:
        """Everything that somebody is signed in with ends."""
        sessions.revoke(self._writer, _checked(person_id))

    def by_address(self, address: str) -> Person | None:
        """The one live account with this mail or user principal name, without their groups; None where there is none or several.

        Two accounts may have one mail attribute ("user", properties), so the first is not simply taken.
        """
        literal = address.strip().replace("'", "''")
        condition = quote(f"mail eq '{literal}' or userPrincipalName eq '{literal}'", safe="")
        page = self._client.read("GET", f"/users?$filter={condition}&{_USER_QUERY}", USERS)
        people = [to_person(user, user.id.lower(), frozenset()) for user in page.value if not user.deleted_date_time]
        # Checked again on our side: a filter that was not understood would name the first of everybody.
        found = [person for person in people if address.strip().casefold() in person.addresses]
        return found[0] if len(found) == 1 else None

    def reports_of(self, person_id: str) -> tuple[DirectReport, ...]:
        """The users whose manager this is ("user-list-directreports": contacts may be among them, and are left out)."""
        path = f"/users/{_checked(person_id)}/directReports?$select=id,displayName&$top=999"
        try:
            page = self._client.read("GET", path, OBJECTS)
        except NotThere:
            return ()
        found = self._all_pages(page.value, page.next_link)
        return tuple(
            DirectReport(id=one.id.lower(), display_name=one.display_name or "") for one in found if kind_of(one.odata_type) == "user"
        )

    def people_in(self, group_id: str) -> frozenset[str]:
        """Ids of all users in the group, through nesting; empty if the group is gone."""
        path = f"/groups/{_checked(group_id)}/transitiveMembers/microsoft.graph.user?$select=id&$top=999"
        try:
            page = self._client.read("GET", path, OBJECTS, headers=SWEEP_HEADERS, deadline=SWEEP_DEADLINE)
        except NotThere:
            return frozenset()
        return frozenset(person.id.lower() for person in self._all_pages(page.value, page.next_link))

    def groups_within(self, groups: Iterable[str]) -> dict[str, frozenset[str]]:
        """Group id -> ids of all groups inside it, twenty groups a call."""
        found: dict[str, frozenset[str]] = {}
        for chunk in _chunks(sorted({_checked(group) for group in groups}), batch.ITEMS_MAX):
            path = "/groups/{}/transitiveMembers/microsoft.graph.group?$select=id&$top=999"
            items = [batch.Item(id=group, method="GET", path=path.format(group)) for group in chunk]
            answers = batch.ask(self._client, items, self._clock)
            for group in chunk:
                try:
                    page = answers[group].decode(OBJECTS, self._clock)
                except NotThere:
                    found[group] = frozenset()
                else:
                    found[group] = frozenset(inner.id.lower() for inner in self._all_pages(page.value, page.next_link))
        return found

    def people_among(self, ids: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Sort ids into users and groups. What is no GUID is neither, and is not asked for: it would spoil the whole question."""
        asked = sorted({known for known in map(guid, ids) if known is not None})
        people: set[str] = set()
        groups: set[str] = set()
        for chunk in _chunks(asked, IDS_MAX):
            body = {"ids": list(chunk), "types": ["user", "group"]}
            page = self._client.read("POST", "/directoryObjects/getByIds", OBJECTS, body=body)
            for found in self._all_pages(page.value, page.next_link):
                kind = kind_of(found.odata_type)
                if kind == "user":
                    people.add(found.id.lower())
                elif kind == "group":
                    groups.add(found.id.lower())
        return frozenset(people), frozenset(groups)

    def _absence(self, person_id: str, user_id: str) -> Absence:
        try:
            deleted = self._client.read("GET", f"/directory/deletedItems/{user_id}?$select=id,deletedDateTime", OBJECT)
        except NotThere:
            return Absence(id=person_id, soft_deleted=False)
        if guid(deleted.id) != user_id or kind_of(deleted.odata_type) not in ("user", ""):
            return Absence(id=person_id, soft_deleted=False)
        return Absence(id=person_id, soft_deleted=True, deleted_at=moment(deleted.deleted_date_time))

    def _all_pages(self, first: Sequence[WireObject], next_link: str | None) -> Iterator[WireObject]:
        """A page and those behind it, empty ones too. Raises TryLater if they never end or the list vanishes on the way."""
        yield from first
        for _ in range(PAGES_MAX):
            if not next_link:
                return
            try:
                path = self._client.relative(next_link)
                page = self._client.read("GET", path, OBJECTS, headers=SWEEP_HEADERS, deadline=SWEEP_DEADLINE)
            except NotThere:
                raise TryLater("Graph lost a list between two of its pages") from None
            yield from page.value
            next_link = page.next_link
        raise TryLater(f"Graph sent more than {PAGES_MAX} pages of one list")

    def _path_of(self, link: str) -> str:
        # Our own pages hold relative links; an absolute one came from elsewhere and is checked like any other.
        return link if link.startswith("/") and not link.startswith("//") else self._client.relative(link)

    def _delta_page(
        self, people: tuple[str, ...], groups: tuple[str, ...], next_link: str | None, delta_link: str | None, *, mark: str = ""
    ) -> DeltaPage:
        if not next_link and not delta_link:
            raise TryLater("Graph sent a page of changes without a link to go on from")
        return DeltaPage(
            person_ids=people,
            group_ids=groups,
            next_link=self._client.relative(next_link) + mark if next_link else None,
            delta_link=self._client.relative(delta_link) + mark if delta_link and not next_link else None,
        )


def _sort_members(change: WireGroupChange, people: dict[str, None], unclear: dict[str, None], *, first: bool) -> None:
    """Who is looked at because of a change of a group, and whether the group as a whole must be compared."""
    group = change.id.lower()
    if bytes(change.removed) not in (b"", b"null") or (change.members is None and not first):
        # Deleted; or listed without saying why, as a group is that came back from the deleted ones.
        unclear[group] = None
    for member in change.members or ():
        kind = kind_of(member.odata_type)
        if kind == "user":
            people[member.id.lower()] = None
        elif kind in ("group", ""):
            unclear[group] = None


def _delta_headers(link: str | None) -> dict[str, str]:
    return SWEEP_HEADERS if link is None else {**SWEEP_HEADERS, "Prefer": "return=minimal"}


def _asking(link: str | None) -> Asking:
    return Asking.READ if link is None else Asking.LINK


def _group_query(name: str) -> str:
    literal = name.replace("'", "''")
    condition = quote(f"displayName eq '{literal}'", safe="")
    return f"/groups?$filter={condition}&$select=id,displayName"


def _checked(object_id: str) -> str:
    known = guid(object_id)
    if known is None:
        raise Refused(f"{object_id[:60]!r} is not an id of the directory; it should be a GUID")
    return known


def _chunks(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]
