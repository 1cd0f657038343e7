"""What Graph sends, in its own words. These shapes never leave this folder; null is empty text on our side."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Raw, field

from joinery.domain.moments import in_utc
from joinery.domain.person import Manager, Person

#: What a person consists of, for ``$select``; sealed into delta tokens, so a new field starts a new token.
PERSON_FIELDS = (
    "id",
    "userPrincipalName",
    "mail",
    "displayName",
    "givenName",
    "surname",
    "jobTitle",
    "department",
    "companyName",
    "officeLocation",
    "employeeId",
    "employeeType",
    "employeeHireDate",
    "accountEnabled",
    "userType",
    "createdDateTime",
)
MANAGER_FIELDS = ("id", "displayName", "mail", "userPrincipalName")


class WireManager(msgspec.Struct, rename="camel"):
    """Somebody's manager, as far as it was expanded."""

    id: str
    display_name: str | None = None
    mail: str | None = None
    user_principal_name: str | None = None


class WireUser(msgspec.Struct, rename="camel"):
    """A user with the manager expanded; without a manager the property is missing."""

    id: str
    user_principal_name: str | None = None
    mail: str | None = None
    display_name: str | None = None
    given_name: str | None = None
    surname: str | None = None
    job_title: str | None = None
    department: str | None = None
    company_name: str | None = None
    office_location: str | None = None
    employee_id: str | None = None
    employee_type: str | None = None
    employee_hire_date: str | None = None
    account_enabled: bool | None = None
    user_type: str | None = None
    created_date_time: str | None = None
    deleted_date_time: str | None = None
    manager: WireManager | None = None


class WireObject(msgspec.Struct, rename="camel"):
    """Any directory object: its id, its type where Graph names it, and when it was deleted."""

    id: str
    odata_type: str = field(default="", name="@odata.type")
    deleted_date_time: str | None = None
    display_name: str | None = None


class WireMember(msgspec.Struct):
    """A member in a group's delta. ``@removed`` makes no difference to us: whoever came or went is looked at."""

    id: str
    odata_type: str = field(default="", name="@odata.type")


class WireGroupChange(msgspec.Struct):
    """A group in ``/groups/delta``; one group may come on several pages, each with a part of its members."""

    id: str
    members: list[WireMember] | None = field(default=None, name="members@delta")
    #: ``{"reason": …}`` here and a plain text in notifications, so the form is not looked at.
    removed: Raw = field(default=Raw(), name="@removed")


class WireObjects(msgspec.Struct):
    """A page of objects, of a list or of ``/users/delta``."""

    value: list[WireObject]
    next_link: str | None = field(default=None, name="@odata.nextLink")
    delta_link: str | None = field(default=None, name="@odata.deltaLink")


class WireUsers(msgspec.Struct):
    """A page of users with their fields; a list of those with one address has no second."""

    value: list[WireUser]


class WireGroupChanges(msgspec.Struct):
    """A page of ``/groups/delta``."""

    value: list[WireGroupChange]
    next_link: str | None = field(default=None, name="@odata.nextLink")
    delta_link: str | None = field(default=None, name="@odata.deltaLink")


class WireIds(msgspec.Struct):
    """What checkMemberGroups answers: the subset that the person is in."""

    value: list[str]


USER = msgspec.json.Decoder(WireUser)
USERS = msgspec.json.Decoder(WireUsers)
OBJECT = msgspec.json.Decoder(WireObject)
OBJECTS = msgspec.json.Decoder(WireObjects)
GROUP_CHANGES = msgspec.json.Decoder(WireGroupChanges)
IDS = msgspec.json.Decoder(WireIds)


def kind_of(odata_type: str) -> str:
    """``user`` from ``#microsoft.graph.user``, whatever its case; empty where no type is named."""
    return odata_type.rpartition(".")[2].lower()


def moment(text: str | None) -> datetime | None:
    """A time as Graph writes it, in UTC. Year 1 is how it says "none"; what is no time counts as none, because no retry would mend it."""
    if not text:
        return None
    try:
        read = in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None
    return read if read.year > 1 else None


def to_person(user: WireUser, person_id: str, groups: frozenset[str]) -> Person:
    """Our record of a user that was read under ``person_id``."""
    manager = user.manager
    return Person(
        id=person_id,
        user_principal_name=user.user_principal_name or "",
        mail=user.mail or "",
        display_name=user.display_name or "",
        given_name=user.given_name or "",
        surname=user.surname or "",
        job_title=user.job_title or "",
        department=user.department or "",
        company_name=user.company_name or "",
        office_location=user.office_location or "",
        employee_id=user.employee_id or "",
        employee_type=user.employee_type or "",
        hire_date=moment(user.employee_hire_date),
        # A leaver needs a plain false; silence about the account is no evidence.
        account_enabled=user.account_enabled is not False,
        user_type=user.user_type or "",
        created_at=moment(user.created_date_time),
        manager=None
        if manager is None
        else Manager(
            id=manager.id,
            display_name=manager.display_name or "",
            mail=manager.mail or "",
            user_principal_name=manager.user_principal_name or "",
        ),
        groups=groups,
    )
