"""A person as the directory shows them now, or their absence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Manager:
    """Who the directory names as somebody's manager."""

    id: str
    display_name: str = ""
    mail: str = ""
    user_principal_name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectReport:
    """Somebody whom the directory lists under a manager."""

    id: str
    display_name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectReports:
    """The people who report to somebody."""

    count: int = 0
    #: Display names in order, the first ones where they are many.
    names: tuple[str, ...] = ()


#: More than anybody has in an ordinary life.
FORMER_ADDRESSES_KEPT = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """One account, read in one moment. Empty text means that the directory holds no value."""

    id: str
    user_principal_name: str = ""
    mail: str = ""
    display_name: str = ""
    given_name: str = ""
    surname: str = ""
    job_title: str = ""
    department: str = ""
    company_name: str = ""
    office_location: str = ""
    employee_id: str = ""
    employee_type: str = ""
    #: First working day, if the directory says so.
    hire_date: datetime | None = None
    account_enabled: bool = True
    #: ``Member`` or ``Guest``.
    user_type: str = ""
    created_at: datetime | None = None
    manager: Manager | None = None
    #: The *watched* groups this account is in, through nesting too: ids as the directory port returns them; the engine exchanges
    #: them for the display names that policy uses before any rule looks at them.
    groups: frozenset[str] = frozenset()
    #: Addresses they had before, latest first: the desk may still know them by one. The engine keeps them, no directory does.
    former_addresses: tuple[str, ...] = ()
    #: Names, addresses and whatever else describes them were erased from this record: that they are empty means nothing.
    erased: bool = False

    @property
    def address(self) -> str:
        """Where mail reaches them: the mail attribute, else the user principal name."""
        return self.mail or self.user_principal_name

    @property
    def name(self) -> str:
        """What people call them."""
        return self.display_name or f"{self.given_name} {self.surname}".strip() or self.user_principal_name or self.id

    @property
    def addresses(self) -> tuple[str, ...]:
        """Mail and user principal name, without case, each once."""
        return tuple(dict.fromkeys(text.strip().casefold() for text in (self.mail, self.user_principal_name) if text.strip()))

    def remembering(self, before: Person | None) -> Person:
        """This person with the addresses that an earlier sighting had and this one has not."""
        if before is None:
            return self
        known = (*before.addresses, *before.former_addresses)
        former = tuple(dict.fromkeys(address for address in known if address not in self.addresses))
        return self.evolve(former_addresses=former[:FORMER_ADDRESSES_KEPT])

    def without_personal_data(self) -> Person:
        """What decisions cannot do without: id, whether the account was enabled, and the watched groups."""
        return Person(id=self.id, account_enabled=self.account_enabled, groups=self.groups, erased=True)

    def evolve(self, **changes: Any) -> Person:
        """The same person with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Absence:
    """The directory has no live account with this id: soft-deleted (positive evidence), or simply not there."""

    id: str
    soft_deleted: bool
    deleted_at: datetime | None = None


#: What a look at the directory brings back.
Sighting = Person | Absence
