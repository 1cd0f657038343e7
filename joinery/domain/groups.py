"""Groups as the directory knows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedGroup:
    """A group that policy names, as the directory knows it."""

    name: str
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupTraits:
    """What the directory says about editing a group's members."""

    there: bool = True
    #: Membership by rule.
    dynamic: bool = False
    #: Mastered on premises.
    synced: bool = False
    #: Roles of the directory can be assigned to it: only privileged administrators may edit it.
    role_assignable: bool = False
    #: Mail-enabled: a distribution list, edited in the mail system.
    mail_enabled: bool = False
