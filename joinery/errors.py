"""The whole family on one screen; the class says what to do next.

::

    JoineryError
    ├── TryLater(after)          not done, certainly; ask again after a pause
    │   ├── BudgetSpent          our own call budget for the desk is spent: nobody is in trouble, nothing was sent
    │   ├── StoreUnavailable     the state store does not answer
    │   │   └── UnknownJournal   what it holds was written by a newer release
    │   ├── QueueUnavailable     the bus does not answer
    │   └── SealUnavailable      the log of the seals does not answer
    ├── OutcomeUnknown           it may have been done: look before you repeat
    ├── Refused                  the other side said no; needs a human
    ├── LostRace                 somebody else committed first: read again, decide again
    ├── LockLost                 a message's or session's lock ended: somebody else may have it by now
    ├── BadMessage(remedy)       a message nobody can understand: parked
    └── ConfigurationError       settings or policy are wrong; carries every finding
    Waiting(until)               not an error: a run pauses (BaseException, so `except Exception` cannot eat it)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


class JoineryError(Exception):
    """Anything Joinery raises on purpose. The message names ids and rules only; what the other side said may name people."""

    #: The other side's own words, for the erasable part of the audit and never for a log.
    said: str = ""


class TryLater(JoineryError):
    """It was certainly not done; ``after`` is how long the other side wants us to wait, if it said so."""

    def __init__(self, message: str, *, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.after = after


class BudgetSpent(TryLater):
    """No call to the desk is left in this window; ``after`` says when to come back. Not the desk's trouble: it is no failed try."""

    def __init__(self, message: str, *, after: timedelta) -> None:
        super().__init__(message, after=after)


class StoreUnavailable(TryLater):
    """The state store does not answer; the message goes back to the queue for later."""


class UnknownJournal(StoreUnavailable):
    """What is stored about one subject was written by a newer release; it stays as it is until that release reads it."""


class QueueUnavailable(TryLater):
    """The bus does not answer; intake says 503, so that the sender repeats."""


class SealUnavailable(TryLater):
    """The log of the seals does not answer; the next tick seals what this one could not."""


class OutcomeUnknown(JoineryError):
    """The request was sent and no answer can be trusted: it may have happened."""


class Refused(JoineryError):
    """The other side said no, or a name does not resolve; a person has to look."""


class LostRace(JoineryError):
    """The partition's head was replaced since we read it; nothing of ours was written."""


class LockLost(JoineryError):
    """The lock expired, was released or was used up; the message may be with another receiver by now."""


class BadMessage(JoineryError):
    """A message that cannot be understood; ``remedy`` says what a person can do about it."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing wrong in settings or policy: where, what, and what it should look like."""

    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}. {self.remedy}"


class ConfigurationError(JoineryError):
    """Settings or policy are wrong; ``findings`` holds all of them, not only the first."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = findings


class Waiting(BaseException):
    """A run pauses until ``until``; its progress is committed. Raised through recipes, caught by the runner alone."""

    def __init__(self, *, until: datetime, why: str) -> None:
        super().__init__(why)
        self.until = until
        self.why = why
