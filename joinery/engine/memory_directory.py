"""The reference double of the directory: it behaves as the real one promises to, in memory, and is late or broken on demand."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from joinery.domain.groups import DirectGroup, GroupTraits, WatchedGroup
from joinery.domain.person import Absence, DirectReport, Person, Sighting
from joinery.engine.ports import Clock, DeltaPage, LinkExpired
from joinery.errors import Refused, TryLater

#: When people are deleted if no clock is given.
_SOME_DAY = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


@dataclass(kw_only=True, slots=True)
class _Group:
    name: str
    #: Direct members: ids of people or of groups.
    members: set[str] = field(default_factory=set)
    traits: GroupTraits = field(default_factory=GroupTraits)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    """One line of the change log that deltas are read from; ``group`` is empty for a change of a person."""

    person: str = ""
    group: str = ""
    #: The whole group has to be compared: a nested group came or went, or the group itself did.
    unclear: bool = False


class MemoryDirectory:
    """Directory in memory. Ids may be any text. Safe to use from several threads.

    Tests drive it with ``put``, ``soft_delete``, ``purge`` and the group methods, make it late with ``stale_looks``, break it with
    ``fail``, age its links with ``expire_links``, and count its looks in ``looks``.
    """

    def __init__(self, *, clock: Clock | None = None, page_size: int = 200) -> None:
        self._lock = threading.RLock()
        self._clock = clock
        self._page_size = page_size
        self._people: dict[str, Person] = {}
        self._deleted: dict[str, tuple[Person, datetime]] = {}
        self._groups: dict[str, _Group] = {}
        self._sessions: dict[str, datetime] = {}
        self._log: list[_Change] = []
        self._oldest_link = 0
        self._errors: deque[Exception] = deque()
        self._stale: dict[str, tuple[Sighting, int]] = {}
        #: How often each person was looked at, failed looks included.
        self.looks: Counter[str] = Counter()
        #: How often each method was called.
        self.calls: Counter[str] = Counter()

    # --- what tests change ---

    def put(self, person: Person) -> None:
        """The person is like this from now on; ``person.groups`` are the groups they are directly in, no others. Unknown groups appear."""
        with self._lock:
            for group_id, group in self._groups.items():
                if person.id in group.members and group_id not in person.groups:
                    self.end_membership(group_id, person.id)
            self._people[person.id] = person.evolve(groups=frozenset())
            self._deleted.pop(person.id, None)
            self._log.append(_Change(person=person.id))
            for group_id in sorted(person.groups):
                if group_id not in self._groups:
                    self.put_group(group_id, name=group_id)
                if person.id not in self._groups[group_id].members:
                    self.add_member(group_id, person.id)

    def change(self, person_id: str, **fields: Any) -> None:
        """Change some fields of a person and leave the groups alone."""
        with self._lock:
            self._people[person_id] = self._people[person_id].evolve(**fields)
            self._log.append(_Change(person=person_id))

    def soft_delete(self, person_id: str) -> None:
        """The person is found among the deleted from now on; memberships wait for a ``restore``."""
        with self._lock:
            self._deleted[person_id] = (self._people.pop(person_id), self._clock.now() if self._clock else _SOME_DAY)
            self._log.append(_Change(person=person_id))

    def restore(self, person_id: str) -> None:
        """Undo a soft delete, memberships included."""
        with self._lock:
            self._people[person_id] = self._deleted.pop(person_id)[0]
            self._log.append(_Change(person=person_id))

    def purge(self, person_id: str) -> None:
        """The person was never here, as far as anyone can tell now."""
        with self._lock:
            self._people.pop(person_id, None)
            self._deleted.pop(person_id, None)
            for group_id, group in self._groups.items():
                if person_id in group.members:
                    group.members.discard(person_id)
                    self._log.append(_Change(person=person_id, group=group_id))
            self._log.append(_Change(person=person_id))

    def put_group(self, group_id: str, *, name: str) -> WatchedGroup:
        """A group with this name; renames it if it exists."""
        with self._lock:
            if group_id in self._groups:
                self._groups[group_id].name = name
            else:
                self._groups[group_id] = _Group(name=name)
            return WatchedGroup(name=name, id=group_id)

    def delete_group(self, group_id: str) -> None:
        """The group is gone."""
        with self._lock:
            del self._groups[group_id]
            for outer in self._groups.values():
                outer.members.discard(group_id)
            self._log.append(_Change(group=group_id, unclear=True))

    def add_member(self, group_id: str, member_id: str) -> None:
        """A person or a group becomes a direct member."""
        with self._lock:
            self._groups[group_id].members.add(member_id)
            self._log_member(group_id, member_id)

    def put_traits(self, group_id: str, **traits: bool) -> None:
        """From now on the port refuses to edit the group, and says what it is; tests still can."""
        with self._lock:
            self._groups[group_id].traits = GroupTraits(**traits)

    def end_membership(self, group_id: str, member_id: str) -> None:
        """A person or a group is no direct member any longer, whatever kind of group it is."""
        with self._lock:
            self._groups[group_id].members.discard(member_id)
            self._log_member(group_id, member_id)

    def stale_looks(self, person_id: str, times: int = 1) -> None:
        """The next ``times`` looks at this person show them as they are now, whatever changes meanwhile: a replica that lags."""
        with self._lock:
            self._stale[person_id] = (self._see(person_id), times)

    def fail(self, error: Exception, times: int = 1) -> None:
        """The next ``times`` calls of any method raise this."""
        with self._lock:
            self._errors.extend([error] * times)

    def expire_links(self) -> None:
        """Every delta link given out so far is too old."""
        with self._lock:
            self._log.append(_Change())
            self._oldest_link = len(self._log)

    # --- the port ---

    def look(self, person_id: str, groups: Iterable[str]) -> Sighting:
        """The person now, with which of ``groups`` they are in through nesting; or their absence."""
        with self._lock:
            self.looks[person_id] += 1
            self._called("look")
            sighting, times = self._stale.pop(person_id, (None, 0))
            if sighting is None:
                sighting = self._see(person_id)
            elif times > 1:
                self._stale[person_id] = (sighting, times - 1)
            if isinstance(sighting, Person):
                return sighting.evolve(groups=sighting.groups & frozenset(groups))
            return sighting

    def resolve_groups(self, names: Iterable[str]) -> tuple[WatchedGroup, ...]:
        """The groups with exactly these names, all of them where several share one."""
        with self._lock:
            self._called("resolve_groups")
            found: list[WatchedGroup] = []
            for name in dict.fromkeys(names):
                ids = [group_id for group_id, group in self._groups.items() if group.name == name]
                found.extend(WatchedGroup(name=name, id=group_id) for group_id in ids)
            return tuple(found)

    def people_delta(self, link: str | None) -> DeltaPage:
        """Ids of people that changed since ``link``; None starts with everybody."""
        with self._lock:
            self._called("people_delta")
            until, offset, since = self._read_link("people", link)
            if since is None:
                ids = sorted(self._people)
            else:
                ids = list(dict.fromkeys(change.person for change in self._log[since:until] if change.person and not change.group))
            return self._page("people", ids, [], since, until, offset)

    def groups_delta(self, groups: Iterable[str], link: str | None) -> DeltaPage:
        """Changes of the direct members of at most 50 groups since ``link``; None starts with all members."""
        wanted = frozenset(groups)
        if len(wanted) > 50:
            raise ValueError(f"one delta link takes at most 50 groups, not {len(wanted)}")
        if not wanted:
            return DeltaPage()
        with self._lock:
            self._called("groups_delta")
            until, offset, since = self._read_link("groups", link)
            people: dict[str, None] = {}
            unclear: dict[str, None] = {}
            if since is None:
                for group_id in sorted(wanted & self._groups.keys()):
                    for member in sorted(self._groups[group_id].members):
                        if member in self._groups:
                            unclear[group_id] = None
                        elif member in self._people:
                            people[member] = None
            else:
                for change in self._log[since:until]:
                    if change.group in wanted:
                        (unclear if change.unclear else people)[change.group if change.unclear else change.person] = None
            return self._page("groups", list(people), list(unclear), since, until, offset)

    def reports_of(self, person_id: str) -> tuple[DirectReport, ...]:
        """The people whose manager this is."""
        with self._lock:
            self._called("reports_of")
            found = (one for one in self._people.values() if person_id in self._people and one.manager and one.manager.id == person_id)
            return tuple(DirectReport(id=one.id, display_name=one.display_name) for one in found)

    def group_traits(self, group_id: str) -> GroupTraits:
        """What ``put_traits`` said."""
        with self._lock:
            self._called("group_traits")
            return self._groups[group_id].traits if group_id in self._groups else GroupTraits(there=False)

    def remove_member(self, group_id: str, person_id: str) -> None:
        """End a direct membership; refused for a group whose traits forbid it."""
        with self._lock:
            self._called("remove_member")
            group = self._groups.get(group_id)
            if group is not None and not group.traits.editable:
                raise Refused("insufficient privileges to complete the operation")
            if group is not None and person_id in group.members:
                self.end_membership(group_id, person_id)

    def groups_of(self, person_id: str) -> tuple[DirectGroup, ...]:
        """The groups that they are directly in."""
        with self._lock:
            self._called("groups_of")
            self._live(person_id)
            held = ((group_id, group) for group_id, group in self._groups.items() if person_id in group.members)
            return tuple(DirectGroup(id=group_id, name=group.name, traits=group.traits) for group_id, group in held)

    def sessions_valid_from(self, person_id: str) -> datetime | None:
        """When their sessions were last revoked."""
        with self._lock:
            self._called("sessions_valid_from")
            self._live(person_id)
            return self._sessions.get(person_id)

    def revoke_sessions(self, person_id: str) -> None:
        """What they signed in with before now is worth nothing."""
        with self._lock:
            self._called("revoke_sessions")
            self._live(person_id)
            self._sessions[person_id] = self._clock.now() if self._clock else _SOME_DAY
            self._log.append(_Change(person=person_id))

    def by_address(self, address: str) -> Person | None:
        """The one live account with this mail or user principal name, without their groups; None where there is none or several."""
        with self._lock:
            self._called("by_address")
            wanted = address.strip().casefold()
            found = [person for person in self._people.values() if wanted in person.addresses]
            return found[0] if len(found) == 1 else None

    def people_in(self, group_id: str) -> frozenset[str]:
        """Ids of all people in the group, through nesting; empty if the group is gone."""
        with self._lock:
            self._called("people_in")
            return frozenset(self._members(group_id) & self._people.keys())

    def groups_within(self, groups: Iterable[str]) -> dict[str, frozenset[str]]:
        """Group id -> ids of the groups inside it, through nesting."""
        with self._lock:
            self._called("groups_within")
            return {group: frozenset(self._members(group) & self._groups.keys()) for group in groups}

    def people_among(self, ids: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Sort ids into people and groups; unknown ids are in neither."""
        with self._lock:
            self._called("people_among")
            asked = set(ids)
            return frozenset(asked & self._people.keys()), frozenset(asked & self._groups.keys())

    # --- inside ---

    def _called(self, method: str) -> None:
        self.calls[method] += 1
        if self._errors:
            raise self._errors.popleft()

    def _live(self, person_id: str) -> None:
        if person_id not in self._people:
            raise TryLater("the account is not there")

    def _see(self, person_id: str) -> Sighting:
        if person_id in self._people:
            held = frozenset(group_id for group_id in self._groups if person_id in self._members(group_id))
            return self._people[person_id].evolve(groups=held)
        if person_id in self._deleted:
            return Absence(id=person_id, soft_deleted=True, deleted_at=self._deleted[person_id][1])
        return Absence(id=person_id, soft_deleted=False)

    def _members(self, group_id: str) -> set[str]:
        """Everything inside the group, through nesting; groups may contain each other."""
        inside: set[str] = set()
        open_groups = [group_id]
        seen: set[str] = set()
        while open_groups:
            current = open_groups.pop()
            if current in seen or current not in self._groups:
                continue
            seen.add(current)
            inside |= self._groups[current].members
            open_groups.extend(self._groups[current].members)
        return inside

    def _log_member(self, group_id: str, member_id: str) -> None:
        nested = member_id in self._groups
        self._log.append(_Change(person="" if nested else member_id, group=group_id, unclear=nested))

    def _read_link(self, kind: str, link: str | None) -> tuple[int, int, int | None]:
        """How far the log counts, how much of it was given out, and from where on; None where it starts with everybody."""
        if link is None:
            return len(self._log), 0, None
        parts = link.split(":")
        if len(parts) != 4 or parts[0] != kind or not all(part.isdecimal() or part == "all" for part in parts[1:]):
            raise LinkExpired("the link is unknown")
        since = None if parts[1] == "all" else int(parts[1])
        until = len(self._log) if parts[2] == "all" else int(parts[2])
        if (until if since is None else since) < self._oldest_link:
            raise LinkExpired("the link is too old")
        return until, int(parts[3]), since

    def _page(self, kind: str, people: list[str], unclear: list[str], since: int | None, until: int, offset: int) -> DeltaPage:
        """Links read ``kind:since:until:offset``; in a delta link ``until`` is open."""
        end = offset + self._page_size
        more = end < len(people)
        return DeltaPage(
            person_ids=tuple(people[offset:end]),
            group_ids=() if offset else tuple(unclear),
            next_link=f"{kind}:{'all' if since is None else since}:{until}:{end}" if more else None,
            delta_link=None if more else f"{kind}:{until}:all:0",
        )
