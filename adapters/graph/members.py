"""Editing the members of a group: who is in which, what stands in the way, and the one write that we make."""

from __future__ import annotations

import msgspec

from adapters.graph.answers import NotThere
from adapters.graph.client import GraphClient
from joinery.domain.groups import DirectGroup, GroupTraits
from joinery.errors import Refused, TryLater

#: What decides whether the members of a group can be edited ("group resource type"); two of them come only when they are named.
_TRAITS = "id,groupTypes,onPremisesSyncEnabled,isAssignableToRole,mailEnabled,assignedLicenses"
#: Pages of one person's groups.
_PAGES_MAX = 100


class WireTraits(msgspec.Struct, rename="camel"):
    """A group's properties; null where Graph has no value."""

    group_types: list[str] | None = None
    on_premises_sync_enabled: bool | None = None
    is_assignable_to_role: bool | None = None
    mail_enabled: bool | None = None
    #: Looked at only for whether there are any.
    assigned_licenses: list[msgspec.Raw] | None = None


class WireGroup(WireTraits, rename="camel"):
    """A group in a list of somebody's memberships."""

    id: str = ""
    display_name: str | None = None


class WireGroups(msgspec.Struct):
    """A page of them."""

    value: list[WireGroup]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


_DECODER = msgspec.json.Decoder(WireTraits)
_GROUPS = msgspec.json.Decoder(WireGroups)


def membership(group_id: str, user_id: str) -> str:
    """The path of a membership. Without the last part, a DELETE there deletes the *user* ("group-delete-members"): nobody else builds it."""
    return f"/groups/{group_id}/members/{user_id}/$ref"


def traits(client: GraphClient, group_id: str) -> GroupTraits:
    """Why the members of a group may not be editable. Asked beforehand: Graph refuses a dynamic group with the words of a missing permission."""
    try:
        group = client.read("GET", f"/groups/{group_id}?$select={_TRAITS}", _DECODER)
    except NotThere:
        return GroupTraits(there=False)
    return _traits_of(group)


def direct(client: GraphClient, user_id: str, *, rows: int = 999) -> tuple[DirectGroup, ...]:
    """The groups that list a user themselves ("user-list-memberof", cast to groups: units and roles are left out).

    Raises TryLater for nobody, and Refused where we may not read what a group is: such a row has its id, and null for the rest
    ("limited information", permissions overview). Taken at its word, it would be a group without licences that anybody may edit.
    """
    path: str | None = f"/users/{user_id}/memberOf/microsoft.graph.group?$select={_TRAITS},displayName&$top={rows}"
    found: dict[str, DirectGroup] = {}
    for _ in range(_PAGES_MAX):
        if path is None:
            return tuple(found.values())
        try:
            page = client.read("GET", path, _GROUPS)
        except NotThere:
            raise TryLater("Graph has no list of the groups of somebody who was there a moment ago; its replicas disagree") from None
        for group in page.value:
            if group.group_types is None or group.mail_enabled is None or group.assigned_licenses is None:
                raise Refused(f"Graph does not say what kind of group {group.id} is; grant Group.Read.All to the identity that reads")
            found[group.id.lower()] = DirectGroup(id=group.id.lower(), name=group.display_name or "", traits=_traits_of(group))
        path = client.relative(page.next_link) if page.next_link else None
    raise TryLater(f"Graph sent more than {_PAGES_MAX} pages of one person's groups")


def _traits_of(group: WireTraits) -> GroupTraits:
    types = group.group_types or []
    return GroupTraits(
        dynamic="DynamicMembership" in types,
        synced=bool(group.on_premises_sync_enabled),
        role_assignable=bool(group.is_assignable_to_role),
        # A Microsoft 365 group has a mailbox too, and is edited here all the same.
        mail_enabled=bool(group.mail_enabled) and "Unified" not in types,
        licensed=bool(group.assigned_licenses),
    )


def remove(client: GraphClient, group_id: str, user_id: str) -> None:
    """End a direct membership. Needs GroupMember.ReadWrite.All, and on purpose no permission to manage users."""
    try:
        client.write("DELETE", membership(group_id, user_id))
    except NotThere:
        # No such membership, or a nested one only: a look tells which.
        return
