"""What a partition remembers: the head, runs, steps, checks; and how their rows are named.

Names sort as text. The open range (read by every look) holds ``check.…``, ``known`` and ``run.<seq>`` with ``run.<seq>.step.<n>``;
above it lie ``~audit.<seq>``, ``~closed.<seq>…`` and ``~personal.<seq>``. What is known of the person is two thirds of a head and
changes once in many commits, so it has a row of its own.

The head says which version its partition is written in, so that a release leaves alone what only a newer one understands.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from joinery.domain.changes import Episode, Known
from joinery.domain.identity import IdentityKind
from joinery.domain.person import Person
from joinery.domain.roles import Grant
from joinery.domain.tickets import AgentRef, EnsureAgent, EnsureApprover, Order, Result, UserRef
from joinery.engine import codec
from joinery.engine.ports import Document, Row, Snapshot
from joinery.errors import UnknownJournal

#: Rises whenever the release before could misread what this one writes: another class of fact, order or result, another state.
#: A partition without a version has version 1. Since version 2 what is known lies beside the head; before, it was a member of it.
JOURNAL_VERSION = 2

#: The row beside the head.
KNOWN = "known"

#: What a step asks for that is no effect: a value, a moment, an answer of people (its ``key`` is the ticket's id).
VALUE, SLEEP, APPROVAL = "value", "sleep", "approval"

#: How the reason begins for which a run is held until a look shows something else, and how often it asks again by itself.
HELD, HELD_FOR = "held: ", timedelta(hours=1)

R = TypeVar("R")


class RunStatus(StrEnum):
    """How a run stands, or ended."""

    OPEN = "open"
    #: A later fact overtook it; its open intents are being resolved.
    SUPERSEDING = "superseding"
    SUPERSEDED = "superseded"
    #: Every effect was read back.
    VERIFIED = "verified"
    #: Something was answered with success and still is not so.
    UNVERIFIED = "unverified"
    FAILED = "failed"
    #: Ended in shadow: nothing outside was touched.
    PLANNED = "planned"


class StepState(StrEnum):
    """How far a step is."""

    #: Not done, certainly; ``due`` says when to try again.
    RETRY = "retry"
    #: About to be sent, or sent with an unknown outcome.
    INTENT = "intent"
    DONE = "done"
    #: Given up for good.
    FAILED = "failed"
    #: Its run was superseded before it was done.
    ABANDONED = "abandoned"


@codec.stored
@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One cooking of a recipe for one fact about one person."""

    seq: int
    id: str
    workflow: str
    #: The recipe's version when the run began.
    version: int
    fact: Document
    person: Person
    #: The person as the last decision had left them; None at first sight, and in runs of the first journals.
    before: Person | None = None
    episode: int
    #: ``live`` or ``shadow``.
    mode: str
    status: RunStatus = RunStatus.OPEN
    started_at: datetime
    closed_at: datetime | None = None
    #: When to go on; None: at once.
    due: datetime | None = None
    #: What it waits for, in words.
    waiting_for: str = ""
    #: Seqs of the runs this one overtook, and their tickets.
    supersedes: tuple[int, ...] = ()
    #: The kind of the fact that ended it where its tickets have to say so (``Overlap.WITHDRAW``).
    stopped_by: str = ""
    #: Since when no release at work has its recipe; None where one has.
    unknown_since: datetime | None = None
    #: Why it failed, without names or addresses.
    reason: str = ""

    @property
    def row(self) -> str:
        """The row's name in the open range."""
        return f"run.{self.seq:06d}"


@codec.stored
@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of a run; effects and values alike."""

    n: int
    name: str
    #: The class of the order, or ``value``, ``sleep``, ``approval``.
    asks: str
    key: str = ""
    #: The matter that the key is made from; empty where it is made from the run's id.
    about: str = ""
    state: StepState = StepState.RETRY
    order: Document | None = None
    result: Any = None
    #: True once a later read showed it; None while it is open; values need none.
    verified: bool | None = None
    verify_tries: int = 0
    #: The write must not start at or after this moment.
    not_after: datetime | None = None
    #: When the first look after an unknown outcome found nothing.
    looked_at: datetime | None = None
    due: datetime | None = None
    first_tried_at: datetime | None = None
    tries: int = 0
    #: Somebody was told that its outcome is unknown for longer than a step is tried.
    overdue: bool = False
    #: The last answer that was not a success, or what the read-back saw.
    trouble: str = ""

    def row(self, run: Run) -> str:
        """The row's name in the open range."""
        return f"{run.row}.step.{self.n:03d}"


@codec.stored
@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """Something to look at once more: after a create, how many objects carry its key; after a leaver's write, whether it is still so."""

    key: str
    due: datetime
    run: str
    step: str
    order: Document
    #: The object that is ours; None when the run gave up on the create.
    ours: str | None
    #: For a write: what the desk answered, and whether it was found undone.
    result: Document | None = None
    undone: bool = False
    #: Notes on twins were about to be written: none of those calls may start after this moment.
    notes_until: datetime | None = None
    tries: int = 0
    first_tried_at: datetime | None = None

    @property
    def row(self) -> str:
        """The row's name in the open range."""
        return f"check.{self.key}"


@codec.stored
@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The one row that every commit of a partition replaces."""

    known: Known = field(default_factory=Known)
    identity: IdentityKind | None = None
    look_again_at: datetime | None = None
    #: When a look last showed something that the one before did not.
    changed_at: datetime | None = None
    #: Whether the index of active people has a row for them.
    active: bool = False
    #: Stands for the department in which that row counts them.
    counted_in: str = ""
    #: Runs ever started here; the next one's seq.
    runs: int = 0
    #: ``<episode>.<workflow>.<mode>`` -> how many runs of it began.
    ordinals: dict[str, int] = field(default_factory=dict)
    #: Ids of shadow runs for facts that still stand.
    rehearsed: tuple[str, ...] = ()
    #: The workflows whose runs the breaker holds, with a comma between them; empty where nothing is held.
    held: str = ""
    #: Hash of what was last said in the audit about a look, so that a standing situation is told once.
    told: str = ""
    #: The person's user on the desk, once a run made or found them.
    desk_user_id: str | None = None
    #: The same of their agent.
    desk_agent_id: str | None = None
    #: Group (display name) -> its last membership that was decided on.
    grants: dict[str, Grant] = field(default_factory=dict)
    #: When to look because a grant ends by its date; None: none does.
    grants_due: datetime | None = None
    #: Matter -> id of the ticket that was opened about it and that no run has closed since.
    tickets: dict[str, str] = field(default_factory=dict)
    audit_seq: int = 0
    audit_hash: str = ""
    #: The index row that tells the sealer about this chain.
    seal_mark: str = ""
    #: The index row that will wake this partition, and the moment for which a message was last scheduled.
    due_key: str = ""
    wake_at: datetime | None = None
    #: Of the whole partition, rows included; what a release writes has its own.
    version: int = field(default_factory=lambda: JOURNAL_VERSION)

    def to_document(self) -> Document:
        """As JSON, with what is known."""
        return codec.to_document(self)

    @classmethod
    def from_document(cls, document: Document, *, partition: str) -> Head:
        """From JSON with what is known, in the words of this release. Raises UnknownJournal where a newer one wrote it."""
        version = document.get("version", 1)
        if not isinstance(version, int) or version > JOURNAL_VERSION:
            raise UnknownJournal(
                f"partition {partition} has journal version {version}, and this release knows {JOURNAL_VERSION}:"
                " deploy the newer release; the message waits, and nothing was changed"
            )
        return record_of({**document, "version": JOURNAL_VERSION}, cls, place=f"partition {partition}, the head")

    @property
    def episode(self) -> Episode:
        """Where the person stands."""
        return self.known.episode


def knowing(head: Head, order: Order, result: Result) -> Head:
    """The head once an order came to that: whom the desk has for the person. A search may not show them for a while."""
    match order, result:
        case EnsureApprover(), _:
            # Somebody else's user.
            return head
        case _, UserRef(id=str(user_id)):
            return replace(head, desk_user_id=user_id)
        case EnsureAgent(), AgentRef(ids=(agent_id, *_)):
            return replace(head, desk_agent_id=agent_id)
        case _:
            return head


def whole_head(snapshot: Snapshot) -> Document | None:
    """The stored head with what is known, wherever the release that wrote it put that; None where the partition is new."""
    beside = next((row.data for row in snapshot.rows if row.name == KNOWN), None)
    return snapshot.head if snapshot.head is None or beside is None else {**snapshot.head, KNOWN: beside}


def split_head(head: Document) -> tuple[Document, Row]:
    """A whole head as it is stored: itself, and the row beside it."""
    return {name: value for name, value in head.items() if name != KNOWN}, Row(name=KNOWN, data=head[KNOWN])


def record_of(document: Document, cls: type[R], *, place: str) -> R:
    """A stored record. Raises UnknownJournal, with the place, where it is not one that this release knows."""
    try:
        return codec.from_document(document, cls)
    except ValueError as error:
        raise _unreadable(place, error) from error


def opened(row: Row, cls: type[R], *, partition: str, tagged: str) -> R:
    """The run, step or check of an open row, with a fact or order in the member ``tagged`` that this release knows. Raises UnknownJournal."""
    place = f"partition {partition}, row {row.name}"
    record = record_of(row.data, cls, place=place)
    if inner := row.data.get(tagged):
        try:
            codec.untag(inner)
        except ValueError as error:
            raise _unreadable(place, error) from error
    return record


def _unreadable(place: str, error: ValueError) -> UnknownJournal:
    return UnknownJournal(
        f"{place} cannot be read ({error}): deploy the release that wrote it, or restore a backup; the message waits, and nothing was changed"
    )


def run_row(run: Run) -> Row:
    """The run as a row of the open range."""
    return Row(name=run.row, data=codec.to_document(run))


def step_row(run: Run, step: Step) -> Row:
    """The step as a row of the open range."""
    return Row(name=step.row(run), data=codec.to_document(step))


def run_id(*, deployment: str, partition: str, episode: int, workflow: str, ordinal: int, mode: str) -> str:
    """The same fact gives the same id: ``joiner-1-1-live-…`` with 50 bits over all its parts."""
    parts = "\x1f".join((deployment, partition, str(episode), workflow, str(ordinal), mode))
    return f"{workflow}-{episode}-{ordinal}-{mode}-{_base32(parts, 10)}".lower()


def effect_key(*, deployment: str, run: str, step: str) -> str:
    """K: the deployment and 80 bits over deployment, run and step, e.g. ``local-K5WXGZLTMVRXE4TF``. It travels with a create.

    ``run`` is the run's id; or, for an effect that later runs go on with, whatever names the matter in its partition: ``shared_by``.
    """
    return f"{deployment}-{_base32(chr(31).join((deployment, run, step)), 16)}"


def shared_by(partition: str, about: str) -> str:
    """Stands for the run in the key of an effect about a matter that outlives runs; no run id has a bar in it."""
    return f"{partition}|{about}"


def _base32(text: str, length: int) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:length]
