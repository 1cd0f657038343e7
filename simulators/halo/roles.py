"""The roles that a fresh tenant has. Ids are GUIDs, the same in every stand-in, with an integer twin that filters use."""

from __future__ import annotations

import uuid

_NAMESPACE = uuid.UUID("5f6a1f0a-59f5-4a53-8f6b-0f6a0f2d9e00")

#: Names in the order of their `id_int`, from 1.
NAMES = ("Administrator", "Agent", "Service Desk", "Change Manager", "Problem Manager", "Asset Manager", "Read Only")


def role_guid(name: str) -> str:
    """The GUID of a seeded role."""
    return str(uuid.uuid5(_NAMESPACE, name))


#: Whoever holds this one may write agents.
ADMINISTRATOR = role_guid("Administrator")
