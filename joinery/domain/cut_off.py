"""What is cut off in the directory when somebody leaves, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from joinery.domain.groups import DirectGroup, GroupTraits

#: So many names of groups fit a note that people read.
NAMED = 30


class Cut(StrEnum):
    """What can be cut off."""

    #: Everything that they are signed in with.
    SESSIONS = "sessions"
    #: Their direct memberships of groups.
    GROUPS = "groups"


class End(StrEnum):
    """How it ended."""

    #: So it is by a later read.
    DONE = "done"
    #: A rehearsal: this is what would be done.
    PLANNED = "planned"
    #: The account is gone, and with it all that could be cut off.
    GONE = "gone"
    #: The account is enabled: they may be back, and nothing was touched.
    ENABLED = "enabled"
    #: By now it is an identity that nothing touches.
    LEFT_ALONE = "left alone"
    #: The directory said no, or it does not show, for days.
    REFUSED = "refused"


class Kept(StrEnum):
    """Why somebody stays in a group."""

    POLICY = "policy"
    #: Licences hang on it: they go last, when the mailbox was seen to.
    LICENSED = "licensed"
    DYNAMIC = "dynamic"
    SYNCED = "synced"
    ROLE_ASSIGNABLE = "role-assignable"
    MAIL_ENABLED = "mail-enabled"
    #: The directory refuses to take them out.
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptGroups:
    """The groups that somebody stays in for one reason: how many, and the display names of the first of them."""

    why: Kept
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CutOff:
    """What came of it. Display names of groups are no personal data; there may be fewer of them than groups."""

    end: End
    removed: int = 0
    names: tuple[str, ...] = ()
    kept: tuple[KeptGroups, ...] = ()


def in_words(names: tuple[str, ...], count: int) -> str:
    """So many groups, the first of them by name."""
    if not names:
        return f"{count} groups"
    more = count - len(names)
    return f"{', '.join(names)} and {more} more" if more > 0 else ", ".join(names)


def barrier(traits: GroupTraits) -> Kept | None:
    """Why members of a group are not ours to edit; None where they are."""
    reasons = (
        (traits.dynamic, Kept.DYNAMIC),
        (traits.synced, Kept.SYNCED),
        (traits.role_assignable, Kept.ROLE_ASSIGNABLE),
        (traits.mail_enabled, Kept.MAIL_ENABLED),
        (traits.licensed, Kept.LICENSED),
    )
    return next((kept for holds, kept in reasons if holds), None)


def sorted_out(
    groups: Iterable[DirectGroup], *, keep: Collection[str], refused: Collection[str]
) -> tuple[tuple[DirectGroup, ...], tuple[KeptGroups, ...]]:
    """Which groups somebody is to leave, and which they stay in. ``keep``: display names, without case; ``refused``: ids."""
    names = {name.casefold() for name in keep}
    leave: list[DirectGroup] = []
    stay: dict[Kept, list[str]] = {}
    for group in sorted(groups, key=lambda one: (one.name, one.id)):
        why = Kept.POLICY if group.name.casefold() in names else barrier(group.traits)
        why = why or (Kept.REFUSED if group.id in refused else None)
        if why is None:
            leave.append(group)
        else:
            stay.setdefault(why, []).append(group.name)
    kept = tuple(KeptGroups(why=why, count=len(stay[why]), names=tuple(stay[why][:NAMED])) for why in Kept if why in stay)
    return tuple(leave), kept
