"""The directory itself: users, groups and what else may be in a group, with their memberships and managers, and what counts as a change."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from simulators.clock import SimClock, parse_instant, write_instant
from simulators.graph.errors import MAIL_TEXT, MEMBER_TEXT, SYNCED_TEXT, bad_request, denied, not_found
from simulators.graph.schema import checked
from simulators.state import Document, StateFile

#: How long a deleted object can be restored (page "directory: deletedItems").
KEPT_DELETED = timedelta(days=30)

#: Members that one call may bind (SDK docs of "members@odata.bind").
MOST_BOUND = 20

KINDS = ("user", "group", "device", "serviceprincipal")
#: Of these kinds there are notifications.
_NOTIFIED = ("user", "group")
#: What hangs on an object of a kind.
_LINKS: Mapping[str, Mapping[str, Any]] = {"user": {"manager": None}, "group": {"members": {}}}
_UPN = "upn"


class Announce(Protocol):
    """Told of every change that notifies, inside the change's own transaction."""

    def __call__(
        self, kind: str, key: str, change_type: str, *, created: bool = False, members: Sequence[Mapping[str, Any]] = ()
    ) -> None: ...


class Directory:
    """Users and groups as documents.

    Every document has: id, kind, n (its place in lists), props, deleted (an instant or None), gone (removed for good), life (the change number of
    its last creation, deletion or restore), changed (property -> change number), and its links: `manager` of a user, `members` of a group (id ->
    change number of the adding), each with a `log` (other id -> [change number, still linked]).
    Every writing method belongs in a transaction of the caller.
    """

    def __init__(self, state: StateFile, clock: SimClock, announce: Announce) -> None:
        self._state = state
        self._clock = clock
        self._announce = announce

    # reading

    def find(self, key: str, kinds: Sequence[str] = KINDS, *, deleted: bool = False) -> Document | None:
        """A live object (or one among the deleted) by id, or a live user by its principal name."""
        wanted = key.lower()
        if "user" in kinds and "@" in wanted and not deleted:
            held = self._state.get(_UPN, wanted)
            wanted = "" if held is None else str(held["id"])
        for kind in kinds:
            found = self._state.get(kind, wanted)
            if found is not None and not found["gone"] and (found["deleted"] is not None) == deleted:
                return found
        return None

    def get(self, key: str, kinds: Sequence[str] = KINDS, *, deleted: bool = False) -> Document:
        """As `find`; 404 when there is none."""
        found = self.find(key, kinds, deleted=deleted)
        if found is None:
            raise not_found(key)
        return found

    def every(self, kind: str) -> list[Document]:
        """All documents of a kind, the deleted and those gone for good too, oldest first."""
        return self._state.all(kind)

    def live(self, kind: str) -> list[Document]:
        """The objects of a kind that exist now."""
        return [found for found in self._state.all(kind) if found["deleted"] is None and not found["gone"]]

    def deleted(self, kind: str) -> list[Document]:
        """The objects of a kind that can be restored."""
        return [found for found in self._state.all(kind) if found["deleted"] is not None and not found["gone"]]

    def last_change(self) -> int:
        """The number of the latest change."""
        return self._state.last("change")

    def members(self, group: Document) -> list[tuple[int, Document]]:
        """The direct members that exist now, each with the change number of its adding."""
        pairs = ((int(at), self.find(key)) for key, at in group["members"].items())
        return [(at, member) for at, member in pairs if member is not None]

    def groups_of(self, key: str) -> list[Document]:
        """The live groups that list this id directly."""
        return [group for group in self.live("group") if key in group["members"]]

    def all_groups_of(self, key: str) -> list[Document]:
        """The live groups that hold this id directly or through other groups, nearest first."""
        return list(self._reach(key, self.groups_of))

    def all_members(self, group: Document) -> list[Document]:
        """Direct and nested members, groups too, nearest first; a group that contains itself in a circle is walked once."""
        return list(self._reach(group["id"], lambda key: [m for _, m in self.members(self.get(key))] if self.find(key, ("group",)) else []))

    def reports(self, key: str) -> list[Document]:
        """The live users whose manager this is."""
        return [user for user in self.live("user") if user["manager"] == key]

    @staticmethod
    def _reach(start: str, step: Callable[[str], list[Document]]) -> Iterator[Document]:
        seen, queue = {start}, [start]
        while queue:
            for found in step(queue.pop(0)):
                if found["id"] not in seen:
                    seen.add(found["id"])
                    queue.append(found["id"])
                    yield found

    # users and groups

    def create(self, kind: str, body: Mapping[str, Any]) -> Document:
        """A new user or group from a request's body; 400 for what Graph would not take."""
        props = checked(kind, body)
        for name in ("displayName", "userPrincipalName", "accountEnabled") if kind == "user" else ("displayName",):
            if props.get(name) is None:
                raise bad_request(f"A value is required for property '{name}' of resource '{kind.capitalize()}'.")
        key = str(uuid.uuid4())
        if kind == "user":
            props = {"userType": "Member", "mailNickname": props["userPrincipalName"].partition("@")[0], **props}
            self._claim(props["userPrincipalName"], key)
        elif kind == "group":
            given = {name: value for name, value in props.items() if value is not None}
            nickname = "".join(sign for sign in props["displayName"] if sign.isalnum() or sign in "-_.")
            props = {"groupTypes": [], "mailEnabled": False, "securityEnabled": True, "mailNickname": nickname or key[:8], **given}
        number = self._state.next("change")
        document: dict[str, Any] = {
            "id": key,
            "kind": kind,
            "n": self._state.next("object"),
            "deleted": None,
            "gone": False,
            "life": number,
        }
        document |= {"props": {**props, "id": key, "createdDateTime": self._stamp()}, "changed": dict.fromkeys(props, number), "log": {}}
        document |= _LINKS.get(kind, {})
        self._state.put(kind, key, document)
        if kind in _NOTIFIED:
            self._announce(kind, key, "updated", created=True)
        return document

    def update(self, found: Document, body: Mapping[str, Any]) -> None:
        """Set properties; those that already have their value change nothing and tell nobody."""
        kind, props = found["kind"], checked(found["kind"], body)
        if found["props"].get("onPremisesSyncEnabled") and "onPremisesSyncEnabled" not in props:
            raise bad_request(SYNCED_TEXT)  # naming the property is how the pretend sync engine itself writes
        for name in ("displayName", "userPrincipalName", "accountEnabled", "userType"):
            if name in props and props[name] is None:
                raise bad_request(f"Invalid value specified for property '{name}' of resource '{kind.capitalize()}'.")
        new = {name: value for name, value in props.items() if found["props"].get(name) != value}
        if not new:
            return
        if "userPrincipalName" in new:
            self._claim(new["userPrincipalName"], found["id"])
            if new["userPrincipalName"].lower() != found["props"]["userPrincipalName"].lower():
                self._state.delete(_UPN, found["props"]["userPrincipalName"].lower())
        number = self._state.next("change")
        changed = {**found["changed"], **dict.fromkeys(new, number)}
        self._state.put(kind, found["id"], {**found, "props": {**found["props"], **new}, "changed": changed})
        self._announce(kind, found["id"], "updated")

    def revoke_sessions(self, user: Document) -> None:
        """What the user signed in with before now is worth nothing; told like any change of a user."""
        name, number = "signInSessionsValidFromDateTime", self._state.next("change")
        changed = {**user, "props": {**user["props"], name: self._stamp()}, "changed": {**user["changed"], name: number}}
        self._state.put("user", user["id"], changed)
        self._announce("user", user["id"], "updated")

    def delete(self, found: Document) -> None:
        """To the deleted items, from where it comes back with its memberships and its manager."""
        props = found["props"]
        if found["kind"] == "user":
            self._state.delete(_UPN, props["userPrincipalName"].lower())
        number = self._state.next("change")
        self._state.put(found["kind"], found["id"], {**found, "deleted": self._stamp(), "life": number})
        self._mark_in_groups(found["id"], number, present=False)
        self._announce(found["kind"], found["id"], "updated")

    def restore(self, found: Document) -> Document:
        """Back from the deleted items; 400 when another user took its principal name meanwhile."""
        if found["kind"] == "user":
            self._claim(found["props"]["userPrincipalName"], found["id"])
        number = self._state.next("change")
        restored = {**found, "deleted": None, "life": number}
        self._state.put(found["kind"], found["id"], restored)
        self._mark_in_groups(found["id"], number, present=True)
        self._announce(found["kind"], found["id"], "updated")
        return restored

    def purge(self, found: Document) -> None:
        """Gone for good; only its id is remembered, for delta."""
        number = self._state.next("change")
        for group in self._state.all("group"):
            if found["id"] in group["members"]:
                members = {key: at for key, at in group["members"].items() if key != found["id"]}
                self._state.put("group", group["id"], {**group, "members": members, "log": {**group["log"], found["id"]: [number, False]}})
        for user in self._state.all("user") if found["kind"] == "user" else []:
            if user.get("manager") == found["id"]:
                self._state.put("user", user["id"], {**user, "manager": None, "log": {**user["log"], found["id"]: [number, False]}})
        bare: dict[str, Any] = {"props": {"id": found["id"]}, "changed": {}, "log": {}, "gone": True, "life": number}
        self._state.put(found["kind"], found["id"], {**found, **bare, **_LINKS.get(found["kind"], {})})
        if found["kind"] in _NOTIFIED:
            self._announce(found["kind"], found["id"], "deleted")

    def purge_expired(self) -> None:
        """What was deleted more than 30 days ago goes for good."""
        oldest = self._clock.now() - KEPT_DELETED
        for kind in KINDS:
            for found in self.deleted(kind):
                if parse_instant(found["deleted"]) <= oldest:
                    self.purge(found)

    # links

    def set_manager(self, user: Document, manager: Document | None) -> None:
        """Give a user a manager or none. Delta shows it; nobody is notified (Graph reference 1.4)."""
        key = None if manager is None else manager["id"]
        if user["manager"] == key:
            return
        number = self._state.next("change")
        log = dict(user["log"])
        if user["manager"] is not None:
            log[user["manager"]] = [number, False]
        if key is not None:
            log[key] = [number, True]
        self._state.put("user", user["id"], {**user, "manager": key, "log": log})

    def add_members(self, group: Document, members: Sequence[Document]) -> None:
        """Add direct members; 400 for one that is there already, 400 or 403 for a group that cannot be edited."""
        if not members:
            return
        self._refuse_edit(group)
        if len(members) > MOST_BOUND:
            raise bad_request(f"The number of references in one request cannot be more than {MOST_BOUND}.")
        self._put_members(group, members)

    def first_members(self, group: Document, members: Sequence[Document]) -> None:
        """The members that a group is created with."""
        if len(members) > MOST_BOUND:
            raise bad_request(f"The number of references in one request cannot be more than {MOST_BOUND}.")
        if members:
            self._put_members(group, members)

    def remove_member(self, group: Document, key: str) -> None:
        """Remove a direct member; 404 when it is none."""
        member = self.get(key)
        if member["id"] not in group["members"]:
            raise not_found(key)
        self._refuse_edit(group)
        number = self._state.next("change")
        members = {one: at for one, at in group["members"].items() if one != member["id"]}
        self._state.put("group", group["id"], {**group, "members": members, "log": {**group["log"], member["id"]: [number, False]}})
        self._announce("group", group["id"], "updated", members=[{"id": member["id"], "@removed": "deleted"}])

    def _put_members(self, group: Document, members: Sequence[Document]) -> None:
        number = self._state.next("change")
        listed, log = dict(group["members"]), dict(group["log"])
        for member in members:
            if member["id"] in listed:
                raise bad_request(MEMBER_TEXT)
            if member["id"] == group["id"]:
                raise bad_request("A group cannot be a member of itself.")
            # Places of members bound in one call differ, so that a page can end between them.
            listed[member["id"]] = self._state.next("link")
            log[member["id"]] = [number, True]
        self._state.put("group", group["id"], {**group, "members": listed, "log": log})
        self._announce("group", group["id"], "updated", members=[{"id": member["id"]} for member in members])

    @staticmethod
    def _refuse_edit(group: Document) -> None:
        """Graph reference 5.1: who owns a group's list, if not the caller."""
        props = group["props"]
        types = props.get("groupTypes") or []
        if props.get("onPremisesSyncEnabled"):
            raise bad_request(SYNCED_TEXT)
        if props.get("mailEnabled") and "Unified" not in types:
            raise bad_request(MAIL_TEXT)
        if "DynamicMembership" in types or props.get("isAssignableToRole") or props.get("isManagementRestricted"):
            raise denied()

    def _mark_in_groups(self, key: str, number: int, *, present: bool) -> None:
        """A deleted member leaves the lists and a restored one comes back: delta of the groups shows both."""
        for group in self.live("group"):
            if key in group["members"]:
                self._state.put("group", group["id"], {**group, "log": {**group["log"], key: [number, present]}})

    def _claim(self, name: str, key: str) -> None:
        if "@" not in name[1:-1] or " " in name:
            raise bad_request("Property userPrincipalName is invalid.")
        held = self._state.get(_UPN, name.lower())
        if held is not None and held["id"] != key:
            raise bad_request("Another object with the same value for property userPrincipalName already exists.")
        self._state.put(_UPN, name.lower(), {"id": key})

    def _stamp(self) -> str:
        return write_instant(self._clock.now().replace(microsecond=0))
