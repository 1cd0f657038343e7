"""The door, as the engine sees it: what somebody outside tells us, understood as far as it is to be trusted, and what they get back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Hint:
    """One notification, understood as far as it is to be trusted: whom or what to look at."""

    #: Somebody who knows our secret sent it.
    genuine: bool
    #: ``person``, ``group``, ``lifecycle``, or ``other`` for what does not concern us.
    about: str
    #: Directory id of the person or group; the event's name for a lifecycle notification.
    id: str = ""
    #: Members the notification named, if it did.
    members: tuple[str, ...] | None = None


class Unacceptable(Exception):
    """A request body that is refused at the door, with the HTTP status and a sentence for the sender."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Intake(Protocol):
    """Reads what the directory posts to us."""

    def read(self, body: bytes, content_type: str) -> tuple[Hint, ...]:
        """Decode one request. Raises Unacceptable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a web request gets back."""

    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
