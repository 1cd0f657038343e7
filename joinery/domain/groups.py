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
    #: Its members get licences through it. It can be edited all the same; whoever is taken out loses what the licence was for.
    licensed: bool = False

    @property
    def editable(self) -> bool:
        """Whether the directory lets somebody edit the list of members."""
        return self.there and not (self.dynamic or self.synced or self.role_assignable or self.mail_enabled)


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectGroup:
    """A group that lists somebody itself, not through a group inside it."""

    id: str
    name: str
    traits: GroupTraits = GroupTraits()
