"""Facts: what the difference between then and now means. They are told in the past tense; a fact cannot be refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class LeftHow(StrEnum):
    """The evidence that somebody left."""

    DISABLED = "disabled"
    SOFT_DELETED = "soft-deleted"
    #: Neither alive nor among the deleted, seen twice.
    GONE = "gone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """Entered the joiner group with an enabled account."""

    kind: ClassVar[str] = "joined"


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """The account was disabled, soft-deleted, or is gone."""

    kind: ClassVar[str] = "left"
    how: LeftHow


@dataclass(frozen=True, kw_only=True, slots=True)
class Returned:
    """Somebody who had left has a live, enabled account again."""

    kind: ClassVar[str] = "returned"


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """A field that was empty at joining was filled soon after; the values are on the person."""

    kind: ClassVar[str] = "completed"
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """Department, job title, manager, company or office changed."""

    kind: ClassVar[str] = "moved"
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Renamed:
    """A name or an address changed; it is the same person."""

    kind: ClassVar[str] = "renamed"
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RolesChanged:
    """Groups that stand for a role were gained or lost, or what they gave has ended (display names, sorted)."""

    kind: ClassVar[str] = "roles-changed"
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    #: Still a member, and the date is past until which the role was granted.
    ended: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertRaised:
    """Something that a person should look at struck for the first time; no fact about anybody."""

    kind: ClassVar[str] = "alert-raised"
    #: The same text for everything that one remedy mends: ids and rules only.
    cause: str
    #: ``<subject>#<audit seq>`` of the first.
    about: str
    #: ISO 8601, UTC.
    at: str


#: Everything that can be the case about a person.
Fact = Joined | Left | Returned | Completed | Moved | Renamed | RolesChanged
