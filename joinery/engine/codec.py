"""Records to JSON documents and back. A record whose class is only known at run time carries its class name as ``is``."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec

from joinery.domain import approvers, events, person, tickets
from joinery.engine.ports import Document

R = TypeVar("R")
C = TypeVar("C", bound=type)


def stored(cls: C) -> C:
    """Let msgspec learn a class now, at import and in one thread.

    It learns a dataclass the first time that it meets it, and two threads that meet one at the same moment crash the process
    (seen with msgspec 0.22: a segmentation fault while sessions start).
    """
    msgspec.json.Decoder(cls)
    return cls


#: Every class that may stand where a union stands. A name here is a promise to stored journals: never reuse one.
_TAGGED: dict[str, type] = {
    cls.__name__: stored(cls)
    for cls in (
        events.Joined,
        events.Left,
        events.Returned,
        events.Completed,
        events.Moved,
        events.Renamed,
        events.RolesChanged,
        events.AlertRaised,
        person.Person,
        person.Absence,
        tickets.EnsureUser,
        tickets.FindUser,
        tickets.OpenTicket,
        tickets.AddNote,
        tickets.DeactivateUser,
        tickets.RetireAgent,
        tickets.UpdateUser,
        tickets.EnsureApprover,
        tickets.EnsureAgent,
        tickets.SetRoles,
        tickets.AskApproval,
        tickets.CloseTicket,
        tickets.EndTicket,
        tickets.UserRef,
        tickets.TicketRef,
        tickets.NoteRef,
        tickets.AgentRef,
        tickets.RolesRef,
        tickets.RoundRef,
        approvers.Approval,
    )
}


def _sorted_sets(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"a {type(value).__name__} cannot be stored; use text, numbers, lists or a small record")


def to_document(record: object) -> Document:
    """A record as a JSON object: moments as text, sets as sorted lists."""
    return cast(Document, msgspec.to_builtins(record, enc_hook=_sorted_sets, order="deterministic"))


def from_document(document: Document, cls: type[R]) -> R:
    """The record again; unknown members are ignored, missing ones take their default.

    Raises:
        ValueError: the document is no ``cls``.
    """
    return msgspec.convert(document, cls, strict=False)


def tag(record: object) -> Document:
    """A record with its class name."""
    return {"is": type(record).__name__, **to_document(record)}


def untag(document: Document) -> Any:
    """The record that ``tag`` wrote.

    Raises:
        ValueError: no such class, or not its shape.
    """
    name = document.get("is", "")
    if name not in _TAGGED:
        raise ValueError(f"a stored record says it is {name!r}, which this version does not know")
    return from_document({key: value for key, value in document.items() if key != "is"}, _TAGGED[name])


def is_tagged(record: object) -> bool:
    """Whether ``tag`` can be undone for this record."""
    return type(record).__name__ in _TAGGED


def to_bytes(document: Document) -> bytes:
    """Canonical JSON: sorted keys, no spaces; equal documents give equal bytes."""
    return msgspec.json.encode(document, order="deterministic")
