"""What we queue: a hint about whom to look at, never the news itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import msgspec

from joinery.errors import BadMessage

#: The subject of everything that people should look at.
ALERTS = "alerts"

#: The only envelope version there is.
VERSION = 1

_SUBJECT = re.compile(r"(person|group):[A-Za-z0-9._~-]{1,64}|alerts")


class EnvelopeKind(StrEnum):
    """What the handler shall do."""

    #: Look at this person.
    LOOK = "look"
    #: Compare this group's people with what we stored.
    LOOK_GROUP = "look_group"
    #: Something of this person's is due: a retry, a second look, a check.
    WAKE = "wake"
    #: Something may have happened to an approval that this person waits for.
    ANSWER = "answer"
    ALERT = "alert"
    OPERATE = "operate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """One queued message, under 2 kB as JSON."""

    version: int = VERSION
    tenant: str
    #: ``person:<id>``, ``group:<id>`` or ``alerts``.
    subject: str
    kind: EnvelopeKind
    #: Where it came from, for the audit: notification, sweep, timer, …
    cause: str
    at: datetime
    #: How often it was put back because the directory or the store did not answer.
    attempt: int = 0
    #: How often the directory refused it, or a defect of ours stopped it.
    refusals: int = 0
    #: How often it came back out of the dead letters.
    revived: int = 0
    #: A second look after a hint that showed nothing new; it is not followed by a third.
    again: bool = False
    trace_parent: str = ""
    run: str = ""
    #: For ``alert``: where it struck, ``<subject>#<audit seq>``. For ``answer``: the ticket's id.
    about: str = ""
    #: For ``look_group``: the members a notification named, at most 20; empty means compare the whole group.
    members: tuple[str, ...] = ()

    @property
    def session_id(self) -> str:
        """Everything about one subject travels in one session; it is the partition's name too."""
        return f"{self.tenant}|{self.subject}"

    @property
    def subject_id(self) -> str:
        """The directory id of the person or group."""
        return self.subject.partition(":")[2]

    def repeated(self) -> Envelope:
        """The same envelope, one attempt later."""
        return replace(self, attempt=self.attempt + 1)

    def refused(self) -> Envelope:
        """The same envelope, refused once more."""
        return replace(self, refusals=self.refusals + 1)

    def revive(self) -> Envelope:
        """The same envelope, out of the dead letters once more; what it went through before is over."""
        return replace(self, attempt=0, refusals=0, revived=self.revived + 1)

    def encode(self) -> bytes:
        """JSON."""
        return msgspec.json.encode(self)


def person_subject(person_id: str) -> str:
    """The subject of everything about one person."""
    return f"person:{person_id.lower()}"


def group_subject(group_id: str) -> str:
    """The subject of everything about one group."""
    return f"group:{group_id.lower()}"


_decoder = msgspec.json.Decoder(Envelope)


def decode(body: bytes) -> Envelope:
    """Read an envelope.

    Raises:
        BadMessage: it is none, or of a version or shape that this code does not know.
    """
    try:
        envelope = _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadMessage(
            f"the message is no envelope: {error}",
            remedy="Find out who wrote to the queue; if it was a newer Joinery, deploy the same version everywhere; the next sweep looks again.",
        ) from None
    if envelope.version != VERSION:
        raise BadMessage(
            f"the envelope has version {envelope.version}, this code knows {VERSION}",
            remedy="Deploy the same version of Joinery everywhere; the next sweep looks again.",
        )
    if not _SUBJECT.fullmatch(envelope.subject):
        raise BadMessage(
            "the envelope's subject is neither person:<id>, group:<id> nor alerts",
            remedy="Find out who wrote to the queue; the message itself can be dropped, the sweep finds what it was about.",
        )
    if envelope.at.tzinfo is None:
        raise BadMessage("the envelope's moment has no time zone", remedy="Find out who wrote to the queue and drop the message.")
    return envelope
