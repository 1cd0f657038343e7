"""Editing the members of a group: what stands in the way, and the one write that we make."""

from __future__ import annotations

import msgspec

from adapters.graph.answers import NotThere
from adapters.graph.client import GraphClient
from joinery.domain.groups import GroupTraits

#: What decides whether the members of a group can be edited ("group resource type"); two of them come only when they are named.
_TRAITS = "id,groupTypes,onPremisesSyncEnabled,isAssignableToRole,mailEnabled"


class WireTraits(msgspec.Struct, rename="camel"):
    """A group's properties; null where Graph has no value."""

    group_types: list[str] | None = None
    on_premises_sync_enabled: bool | None = None
    is_assignable_to_role: bool | None = None
    mail_enabled: bool | None = None


_DECODER = msgspec.json.Decoder(WireTraits)


def membership(group_id: str, user_id: str) -> str:
    """The path of a membership. Without the last part, a DELETE there deletes the *user* ("group-delete-members"): nobody else builds it."""
    return f"/groups/{group_id}/members/{user_id}/$ref"


def traits(client: GraphClient, group_id: str) -> GroupTraits:
    """Why the members of a group may not be editable. Asked beforehand: Graph refuses a dynamic group with the words of a missing permission."""
    try:
        group = client.read("GET", f"/groups/{group_id}?$select={_TRAITS}", _DECODER)
    except NotThere:
        return GroupTraits(there=False)
    types = group.group_types or []
    return GroupTraits(
        dynamic="DynamicMembership" in types,
        synced=bool(group.on_premises_sync_enabled),
        role_assignable=bool(group.is_assignable_to_role),
        # A Microsoft 365 group has a mailbox too, and is edited here all the same.
        mail_enabled=bool(group.mail_enabled) and "Unified" not in types,
    )


def remove(client: GraphClient, group_id: str, user_id: str) -> None:
    """End a direct membership. Needs GroupMember.ReadWrite.All, and on purpose no permission to manage users."""
    try:
        client.write("DELETE", membership(group_id, user_id))
    except NotThere:
        # No such membership, or a nested one only: a look tells which.
        return
