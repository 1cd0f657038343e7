"""What the engine needs from outside, each named for its role. The memory doubles stand in ``engine/memory.py``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from joinery.domain.groups import DirectGroup, GroupTraits, WatchedGroup
from joinery.domain.person import DirectReport, Person, Sighting

if TYPE_CHECKING:  # a directory's adapter imports this, and has no use for two dozen kinds of orders, which take time at a cold start
    from joinery.domain.tickets import Order, ReadBack, Result, TicketState

#: A JSON object: text, numbers, booleans, None, lists and objects of these.
Document = dict[str, Any]


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """This moment, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go backwards, for deadlines."""


class Randomness(Protocol):
    """The only source of chance: jitter, salts, commit ids."""

    def uniform(self, low: float, high: float) -> float:
        """A number between the two."""

    def token(self) -> str:
        """32 hexadecimal digits nobody can guess."""


# --- the directory ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class DeltaPage:
    """One page of changes. ``next_link`` asks for the following page; at the end ``delta_link`` is for the next sweep."""

    #: People that changed (ids), or were members added to or removed from a watched group.
    person_ids: tuple[str, ...] = ()
    #: Groups whose members changed in a way that ids of people do not tell (nested groups, deletion).
    group_ids: tuple[str, ...] = ()
    next_link: str | None = None
    delta_link: str | None = None


class Directory(Protocol):
    """Where people live. Every method raises TryLater or Refused."""

    def look(self, person_id: str, groups: Iterable[str]) -> Sighting:
        """The person now, with their manager and which of ``groups`` (ids) they are in, through nesting; or their absence."""

    def resolve_groups(self, names: Iterable[str]) -> tuple[WatchedGroup, ...]:
        """The groups with these display names: none for a name that does not exist, several for one that was given twice."""

    def people_delta(self, link: str | None) -> DeltaPage:
        """Changes of people since ``link``; None starts with everybody.

        Raises:
            LinkExpired: the link is too old or unknown; start again with None.
        """

    def groups_delta(self, groups: Iterable[str], link: str | None) -> DeltaPage:
        """Changes of the members of these groups (ids) since ``link``; None starts with all members. Raises LinkExpired."""

    def by_address(self, address: str) -> Person | None:
        """The one live account with this mail or user principal name (policy names people so); None where there is none or several."""

    def reports_of(self, person_id: str) -> tuple[DirectReport, ...]:
        """The people whose manager this is; none for whoever is not there."""

    def group_traits(self, group_id: str) -> GroupTraits:
        """Why members of a group may not be editable. Raises TryLater or Refused."""

    def remove_member(self, group_id: str, person_id: str) -> None:
        """End a direct membership; one that is not there, or nested only, stays as it is: a look tells. It never touches the account.

        Raises TryLater, Refused (the group's traits, no permission) or OutcomeUnknown.
        """

    def groups_of(self, person_id: str) -> tuple[DirectGroup, ...]:
        """The groups that list this live account themselves, with what stands in the way of editing them.

        Raises TryLater, also where the account is not there: replicas may disagree, and a look tells; or Refused.
        """

    def sessions_valid_from(self, person_id: str) -> datetime | None:
        """What they signed in with before this moment, by the directory's clock, is worth nothing; None where no such moment is known.

        Raises TryLater, also where the account is not there, or Refused.
        """

    def revoke_sessions(self, person_id: str) -> None:
        """Everything that they are signed in with ends; it may be repeated. Raises TryLater, Refused or OutcomeUnknown."""

    def people_in(self, group_id: str) -> frozenset[str]:
        """Ids of all people in the group, through nesting; empty if the group is gone."""

    def groups_within(self, groups: Iterable[str]) -> Mapping[str, frozenset[str]]:
        """Group id -> ids of the groups inside it, through nesting; none inside a group that is gone."""

    def people_among(self, ids: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Sort object ids into people and groups; devices, service principals and unknown ids are in neither."""


class LinkExpired(Exception):
    """A delta link is too old; the next sweep starts with everybody."""


class Subscriptions(Protocol):
    """Our standing orders for notifications."""

    def ensure(
        self, *, notification_url: str, lifecycle_url: str, client_state: str, changed: bool, renew: bool = False
    ) -> Mapping[str, datetime]:
        """Create what is missing, renew what ends soon (or all), recreate all if ``changed``; resource -> its end. Raises TryLater, Refused."""


# --- the service desk ------------------------------------------------------------------------------------------------


class ServiceDesk(Protocol):
    """Where work is done. ``key`` is 80 bits of hash in base32 with the deployment in front; it travels with every create."""

    #: How long a new object may stay invisible to searches.
    search_lag: timedelta

    def find(self, order: Order, key: str, *, quick: bool = False, ours: str | None = None) -> tuple[Result, ...]:
        """All objects that this order with this key has made, lowest id first: recent list *and* search, closed and deleted ones too.

        Only what needs nothing more counts: an inactive user is not what ``EnsureUser`` makes, so ``perform`` is asked to see to it.

        ``quick`` is for the look before the very first try, when no call of ours can be under way: one question is enough.
        ``ours`` is the id of one that was read before: for a look at what else there is, long after the last call, it is not read once more.
        Raises TryLater or Refused.
        """

    def find_similar(self, order: Order) -> Result | None:
        """What a human or another tool already made for the same person and kind, if policy says to adopt it."""

    def perform(self, order: Order, key: str, *, within: timedelta) -> Result:
        """Do it, within one total deadline on the monotonic clock that closes the socket.

        Raises:
            TryLater: certainly not done.
            Refused: the desk says no.
            OutcomeUnknown: it may have been done.
        """

    def read_back(self, order: Order, key: str, result: Result) -> ReadBack:
        """Ask again, in a request of its own, whether it is so. Raises TryLater or Refused."""

    def ticket_state(self, ticket_id: str) -> TicketState:
        """Where a ticket's approval stands now. Raises TryLater or Refused."""

    def awaiting(self) -> frozenset[str]:
        """Ids of all open tickets whose approval is still to be answered, in one list call per hundred. Raises TryLater or Refused."""


class AlertSink(Protocol):
    """Where people are told outside the desk, which may be what is down."""

    def tell(self, *, cause: str, about: str, at: datetime) -> None:
        """Tell them once more than needed rather than not at all. Never raises."""


class CallBudget(Protocol):
    """How many calls to the desk are left, for all workers together. Asked right before each call: reads, writes, repeats and tokens."""

    def spend(self, n: int = 1) -> None:
        """Count ``n`` calls that are about to be made. Raises BudgetSpent or StoreUnavailable; then none may be made."""


# --- the store -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a partition. Row names sort as text; see ``engine/journal.py`` for the names in use."""

    name: str
    data: Document


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A partition as a look reads it: the head and the open rows, in one read."""

    #: Opaque version of the head; None where the partition is new.
    etag: str | None
    head: Document | None
    #: Rows of the open range (name < ``OPEN_RANGE_END``), sorted by name.
    rows: tuple[Row, ...] = ()


#: Row names below this text are read by every look; ``~audit``, ``~closed`` and ``~personal`` lie above it.
OPEN_RANGE_END = "~"


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """One atomic change of one partition. ``head`` always replaces the head; it gets ``commit_id`` as a member."""

    partition: str
    #: The etag that was read; None means that the partition must not exist yet.
    expected: str | None
    #: Fresh for every attempt to decide; a repeat of the same commit carries the same id.
    commit_id: str
    head: Document
    put: tuple[Row, ...] = field(default=())
    delete: tuple[str, ...] = field(default=())


class StateStore(Protocol):
    """Partitions with a head, index rows, and shared rows. Every method raises StoreUnavailable when it cannot answer."""

    def read(self, partition: str) -> Snapshot:
        """Head and open rows in one read."""

    def commit(self, commit: Commit) -> str:
        """Write it all or nothing; return the new etag. If the head already carries this ``commit_id``, it is done: success.

        At most 100 rows, head included; ``engine/store_limits.py`` has the sizes; no row twice.

        Raises:
            LostRace: the head is not the one expected.
            ValueError: the commit breaks a limit.
        """

    def scan(self, partition: str, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[Row, ...]:
        """Rows of a partition whose names start with ``prefix`` and sort after ``after``."""

    # Index rows: written before the commit they point to; a dangling one is harmless. Put and delete are idempotent.
    def put_index(self, index: str, key: str, data: Document) -> None:
        """Insert or replace one index row."""

    def delete_index(self, index: str, key: str) -> None:
        """Remove one index row; a missing one is fine."""

    def list_index(self, index: str, *, prefix: str = "", up_to: str | None = None, after: str = "", limit: int = 1000) -> tuple[Row, ...]:
        """Index rows sorted by key, those that start with ``prefix``, sort after ``after`` and not after ``up_to``."""

    # Shared rows: one row each, replaced under an etag.
    def read_shared(self, name: str) -> tuple[str | None, Document | None]:
        """Etag and content of a shared row; (None, None) where it does not exist."""

    def replace_shared(self, name: str, data: Document, *, expected: str | None) -> str:
        """Replace it if its etag is ``expected`` (None: it must not exist); return the new etag. Raises LostRace."""


class SealLog(Protocol):
    """Bytes that can be added to and never changed, kept where whoever writes the store cannot rewrite them. Raises SealUnavailable."""

    def size(self) -> int:
        """How many bytes there are."""

    def read(self, start: int = 0) -> bytes:
        """Everything from byte ``start`` on."""

    def append(self, data: bytes, *, at: int) -> None:
        """Add to the end if the end is at byte ``at``; return when it is on disk. A crash may leave a part of it.

        Raises:
            LostRace: somebody else added something.
        """


# --- the bus ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """One message for the session queue: body under 2 kB, its session, and from when on it may be received."""

    body: bytes
    session_id: str
    not_before: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A message that the bus gave up on."""

    id: str
    body: bytes
    reason: str


class MessageQueue(Protocol):
    """The session queue, seen from the sending side."""

    def send(self, messages: Iterable[Outgoing]) -> None:
        """Return once the bus has taken every message. Raises QueueUnavailable; some may then have been taken."""

    def waiting(self) -> int | None:
        """How many messages are to be handled now, those in hand included; None where the bus does not say."""

    def scheduled(self) -> int | None:
        """How many messages are there for a later moment; None where the bus does not say."""

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """What the bus gave up on, oldest first, at most 100."""

    def remove_dead_letter(self, letter_id: str) -> None:
        """Forget one of them; a missing one is fine."""


class ReceivedMessage(Protocol):
    """A message under lock."""

    @property
    def body(self) -> bytes:
        """The envelope."""

    @property
    def message_id(self) -> str:
        """Fresh for every send."""

    @property
    def session_id(self) -> str | None:
        """Its session."""

    @property
    def sequence_number(self) -> int:
        """Increasing in one queue."""

    @property
    def delivery_count(self) -> int:
        """How often it was delivered in vain."""

    @property
    def enqueued_at(self) -> datetime:
        """When it became receivable."""

    @property
    def lock_token(self) -> str | None:
        """Settles this delivery."""

    @property
    def properties(self) -> Mapping[str, Any]:
        """What travels beside the body."""


class SessionHold(Protocol):
    """The right to receive one session's messages."""

    @property
    def session_id(self) -> str:
        """Which session."""


class SessionQueue(Protocol):
    """The session queue, seen from a host that hands its messages to functions. Settling raises LockLost."""

    def accept_session(self, session_id: str | None = None, wait: float = 0) -> Any:
        """Lock the session that waited longest; None where there was none within ``wait`` seconds."""

    def receive(self, lock: Any = None, max_count: int = 1, wait: float = 0) -> Sequence[ReceivedMessage]:
        """What waits in it, oldest first; empty after ``wait`` seconds."""

    def complete(self, lock_token: str) -> None:
        """Handled: it will not come again."""

    def abandon(self, lock_token: str) -> None:
        """Not handled: it comes again at once, at the head of its session."""

    def renew_session(self, lock: Any) -> Any:
        """Keep the session for another lock duration."""

    def release_session(self, lock: Any) -> None:
        """Give it back; what is unsettled returns."""

    def poke(self) -> None:
        """Wake whoever waits."""
