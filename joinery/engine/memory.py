"""The reference doubles of the ports: they behave as the real ones promise to, in memory, on a clock that tests turn by hand."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

import msgspec

from joinery.domain.moments import aware
from joinery.engine.ports import OPEN_RANGE_END, Clock, Commit, DeadLetter, Document, Outgoing, Row, Snapshot
from joinery.engine.store_limits import HEAD, check_key, encoded, encoded_commit
from joinery.errors import LostRace, QueueUnavailable, SealUnavailable, StoreUnavailable

#: A Monday morning; tests that need another moment say so.
DEFAULT_START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until it is told to go on. Safe to turn from another thread."""

    def __init__(self, start: datetime = DEFAULT_START) -> None:
        self._lock = threading.Lock()
        self._now = aware(start)
        self._monotonic = 0.0
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> datetime:
        """This moment, aware, UTC."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Seconds that were advanced so far."""
        with self._lock:
            return self._monotonic

    def advance(self, by: timedelta | None = None, **units: float) -> datetime:
        """Go on by a timedelta, or by its keywords (``days=90``, ``seconds=2``); returns the new now. Never backwards: that is ``set``."""
        step = (by or timedelta(0)) + timedelta(**units)
        if step < timedelta(0):
            raise ValueError(f"a clock advances, it does not go back by {-step}; use set() for a clock that was corrected")
        with self._lock:
            self._now += step
            self._monotonic += step.total_seconds()
            now = self._now
        self._tell()
        return now

    def set(self, moment: datetime) -> None:
        """Correct the wall clock, forwards or backwards; ``monotonic`` stays where it is, as on a real machine."""
        moment = aware(moment)
        with self._lock:
            self._now = moment
        self._tell()

    def call_on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every change, to wake those who wait for a moment."""
        with self._lock:
            self._listeners.append(listener)

    def _tell(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()


class SeededRandomness:
    """Chance that repeats itself: the same seed gives the same numbers and tokens."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 — repeatable on purpose; never used for secrets

    def uniform(self, low: float, high: float) -> float:
        """A number between the two."""
        return self._random.uniform(low, high)

    def token(self) -> str:
        """32 hexadecimal digits."""
        return f"{self._random.getrandbits(128):032x}"


class MemoryStateStore:
    """The state store in memory. Documents go through JSON, so a caller never shares an object with the store.

    Raises StoreUnavailable while ``unavailable`` is set, and after ``close``.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._partitions: dict[str, dict[str, _Stored]] = {}
        self._indexes: dict[str, dict[str, _Stored]] = {}
        self._shared: dict[str, _Stored] = {}
        #: For tests: set it, and nothing answers until it is cleared.
        self.unavailable = False

    def read(self, partition: str) -> Snapshot:
        """Head and open rows in one read."""
        with self._lock:
            rows = self._table(self._partitions, partition)
            head = rows.get(HEAD)
            open_rows = tuple(
                Row(name=name, data=row.document()) for name, row in sorted(rows.items()) if name < OPEN_RANGE_END and name != HEAD
            )
        return Snapshot(etag=head.etag if head else None, head=head.document() if head else None, rows=open_rows)

    def commit(self, commit: Commit) -> str:
        """All or nothing, as the port says."""
        head, rows = encoded_commit(commit)
        with self._lock:
            stored = self._table(self._partitions, commit.partition)
            current = stored.get(HEAD)
            if current is not None and current.document().get("commit_id") == commit.commit_id:
                return current.etag
            if (current.etag if current else None) != commit.expected:
                raise LostRace(f"partition {commit.partition}: the head is not the one expected")
            etag = _next_etag(current)
            stored[HEAD] = _Stored(etag, head)
            stored.update((name, _Stored(etag, text)) for name, text in rows)
            for name in commit.delete:
                stored.pop(name, None)
            self._partitions[commit.partition] = stored
        return etag

    def scan(self, partition: str, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[Row, ...]:
        """Rows whose names start with ``prefix`` and sort after ``after``; never the head."""
        with self._lock:
            return _range(self._table(self._partitions, partition), prefix=prefix, after=after, up_to=None, limit=limit, hidden=HEAD)

    def put_index(self, index: str, key: str, data: Document) -> None:
        """Insert or replace one index row."""
        check_key(index)
        check_key(key)
        row = _Stored("1", encoded(data))
        with self._lock:
            self._table(self._indexes, index)
            self._indexes.setdefault(index, {})[key] = row

    def delete_index(self, index: str, key: str) -> None:
        """Remove one index row; a missing one is fine."""
        with self._lock:
            self._table(self._indexes, index).pop(key, None)

    def list_index(self, index: str, *, prefix: str = "", up_to: str | None = None, after: str = "", limit: int = 1000) -> tuple[Row, ...]:
        """Index rows sorted by key."""
        with self._lock:
            return _range(self._table(self._indexes, index), prefix=prefix, after=after, up_to=up_to, limit=limit)

    def read_shared(self, name: str) -> tuple[str | None, Document | None]:
        """Etag and content of a shared row."""
        with self._lock:
            row = self._table({"": self._shared}, "").get(name)
        return (row.etag, row.document()) if row else (None, None)

    def replace_shared(self, name: str, data: Document, *, expected: str | None) -> str:
        """Replace it if its etag is ``expected``."""
        check_key(name)
        text = encoded(data)
        with self._lock:
            current = self._table({"": self._shared}, "").get(name)
            if (current.etag if current else None) != expected:
                raise LostRace(f"shared row {name}: it is not the one expected")
            self._shared[name] = _Stored(_next_etag(current), text)
            return self._shared[name].etag

    def close(self) -> None:
        """From now on nothing answers."""
        self.unavailable = True

    def partitions(self) -> list[str]:
        """For tests: the names of all partitions, sorted."""
        with self._lock:
            return sorted(self._partitions)

    def _table(self, tables: Mapping[str, dict[str, _Stored]], name: str) -> dict[str, _Stored]:
        if self.unavailable:
            raise StoreUnavailable("the store does not answer")
        return tables.get(name) or {}


class MemorySealLog:
    """The log of the seals in memory. Raises SealUnavailable while ``unavailable`` is set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Everything that was appended.
        self.data = b""
        #: For tests: set it, and nothing answers until it is cleared.
        self.unavailable = False

    def size(self) -> int:
        """How many bytes there are."""
        return len(self.read())

    def read(self, start: int = 0) -> bytes:
        """Everything from byte ``start`` on."""
        with self._lock:
            if self.unavailable:
                raise SealUnavailable("the log of the seals does not answer")
            return self.data[start:]

    def append(self, data: bytes, *, at: int) -> None:
        """Add to the end if the end is at byte ``at``."""
        with self._lock:
            if self.unavailable:
                raise SealUnavailable("the log of the seals does not answer")
            if at != len(self.data):
                raise LostRace("somebody else added a seal")
            self.data += data


class MemoryQueue:
    """The session queue in memory: everything that was sent, and what of it may be received now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[tuple[datetime, int, Outgoing]] = []
        #: Every message that was ever taken, in order.
        self.sent: list[Outgoing] = []
        #: For tests: what the bus gave up on.
        self.dead: list[DeadLetter] = []
        #: For tests: set it, and nothing is taken until it is cleared.
        self.unavailable = False

    def send(self, messages: Iterable[Outgoing]) -> None:
        """Take every message, or none if one of them breaks a rule (ValueError)."""
        batch = list(messages)
        for message in batch:
            if not message.session_id or len(message.session_id) > 128:
                raise ValueError(f"a session id has 1 to 128 characters, this one has {len(message.session_id)}")
            if message.not_before is not None:
                aware(message.not_before)
        with self._lock:
            if self.unavailable:
                raise QueueUnavailable("the queue does not answer")
            now = self._clock.now()
            for message in batch:
                self._waiting.append((max(now, message.not_before or now), len(self.sent), message))
                self.sent.append(message)

    def waiting(self) -> int | None:
        """How many messages are to be handled now."""
        return self._count(due=True)

    def scheduled(self) -> int | None:
        """How many messages are there for a later moment."""
        return self._count(due=False)

    def _count(self, *, due: bool) -> int:
        with self._lock:
            now = self._clock.now()
            return sum((moment <= now) is due for moment, _, _ in self._waiting)

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """What was put into ``dead``, oldest first."""
        with self._lock:
            return tuple(self.dead[:100])

    def remove_dead_letter(self, letter_id: str) -> None:
        """Forget one of them; a missing one is fine."""
        with self._lock:
            self.dead = [letter for letter in self.dead if letter.id != letter_id]

    def receive_due(self) -> list[Outgoing]:
        """For tests: take out everything that may be received now, in the order in which it became receivable."""
        with self._lock:
            now = self._clock.now()
            due = sorted((entry for entry in self._waiting if entry[0] <= now), key=lambda entry: entry[:2])
            self._waiting = [entry for entry in self._waiting if entry[0] > now]
        return [message for _, _, message in due]

    def next_due(self) -> datetime | None:
        """For tests: when the next message may be received; None where nothing waits."""
        with self._lock:
            return min((moment for moment, _, _ in self._waiting), default=None)


@dataclass(frozen=True, slots=True)
class _Stored:
    """One row: its version and its content as JSON."""

    etag: str
    text: bytes

    def document(self) -> Document:
        return cast(Document, msgspec.json.decode(self.text))


def _next_etag(current: _Stored | None) -> str:
    return f"{int(current.etag) + 1 if current else 1:016d}"


def _range(
    rows: Mapping[str, _Stored], *, prefix: str, after: str, up_to: str | None, limit: int, hidden: str | None = None
) -> tuple[Row, ...]:
    names = sorted(
        name for name in rows if name.startswith(prefix) and name > after and (up_to is None or name <= up_to) and name != hidden
    )
    return tuple(Row(name=name, data=rows[name].document()) for name in names[: max(limit, 0)])
