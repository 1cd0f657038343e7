"""What the queue remembers: every message it took, on disk before the sender hears of it. Locks are not remembered."""

from __future__ import annotations

import secrets
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from adapters.queues.messages import MessageState, PropertyValue, QueueMessage
from adapters.stores.database import Connect, Database, FileKind, connect_plainly, damaged
from joinery.errors import QueueUnavailable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """Everything a queue starts from."""

    #: By sequence number.
    messages: tuple[QueueMessage, ...] = ()
    #: Message ids that were taken lately, with the moment, oldest first.
    taken_ids: tuple[tuple[str, datetime], ...] = ()
    #: Session id -> its state, and when that was set.
    states: Mapping[str, tuple[bytes, datetime]] = field(default_factory=dict)
    next_sequence: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One durable step: all of it, or nothing."""

    #: The sequence number that the next message gets.
    next_sequence: int
    #: New messages, and known ones whose state or delivery count changed.
    put: tuple[QueueMessage, ...] = ()
    #: Sequence numbers that are settled or replaced.
    remove: tuple[int, ...] = ()
    #: Message ids to remember, with the moment.
    take_ids: tuple[tuple[str, datetime], ...] = ()
    #: Message ids outside this span are forgotten.
    keep_ids_between: tuple[datetime, datetime] | None = None
    #: Session id, its new state (None: it has none any more), and the moment.
    states: tuple[tuple[str, bytes | None, datetime], ...] = ()


class Journal(Protocol):
    """Where a queue engine keeps its messages. The engine calls it from one thread at a time."""

    def load(self) -> Remembered:
        """Everything, once, at the start."""

    def write(self, change: Change) -> None:
        """Return when it is on disk. Raises QueueUnavailable; then nothing of it happened."""

    def close(self) -> None:
        """Nothing is written afterwards."""


_STATES = "CREATE TABLE session_state (session_id TEXT PRIMARY KEY, state BLOB NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID"


def _lifetimes_and_states(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE message ADD COLUMN time_to_live INTEGER")
    connection.execute(_STATES)


#: "JOIQ" in ASCII.
KIND = FileKind(
    title="the queue's journal",
    application_id=0x4A4F4951,
    schema=f"""
        CREATE TABLE message (
            sequence_number INTEGER PRIMARY KEY, state TEXT NOT NULL, message_id TEXT NOT NULL, session_id TEXT, body BLOB NOT NULL,
            properties BLOB NOT NULL, enqueued_at INTEGER NOT NULL, scheduled_for INTEGER, delivery_count INTEGER NOT NULL,
            dead_letter_reason TEXT, dead_letter_description TEXT, checksum INTEGER NOT NULL, time_to_live INTEGER
        );
        CREATE TABLE taken_id (message_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
        CREATE INDEX taken_id_at ON taken_id (at);
        CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
        {_STATES}
    """,
    upgrades=(_lifetimes_and_states,),
)

_PUT = "INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LOAD = "SELECT * FROM message ORDER BY sequence_number"


class SqliteJournal:
    """A journal in one SQLite file, one synced transaction per change; a queue engine has its own file to itself.

    If two processes open the same file all the same, the one that writes first after loading goes on, and the other is refused: it would
    give out the same sequence numbers and so overwrite what was taken.

    Raises:
        ConfigurationError: the file is foreign, newer, damaged or cannot be opened; it is left as it is.
        QueueUnavailable: locked, disk full, input/output error; also after ``close``.
    """

    def __init__(self, path: Path | str, *, busy_timeout: timedelta = timedelta(seconds=5), connect: Connect = connect_plainly) -> None:
        self._path = Path(path)
        self._owner = secrets.randbits(62)
        self._changes_at_load = 0
        self._database = Database(self._path, KIND, unavailable=QueueUnavailable, busy_timeout=busy_timeout, connect=connect)

    def load(self) -> Remembered:
        """Everything. Raises ConfigurationError where the file does not hold what was written to it."""
        with self._database.reading() as connection:
            try:
                (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                rows = connection.execute(_LOAD).fetchall()
                taken = connection.execute("SELECT message_id, at FROM taken_id ORDER BY at").fetchall()
                kept = connection.execute("SELECT session_id, state, at FROM session_state").fetchall()
                counters = _counters(connection)
            except sqlite3.OperationalError as error:
                # Locked or unreadable now is for later; what is missing inside (a table, a column) will not come back by waiting.
                if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF != sqlite3.SQLITE_ERROR:
                    raise
                raise damaged(self._path, KIND.title, str(error)) from error
            except sqlite3.DatabaseError as error:
                raise damaged(self._path, KIND.title, str(error)) from error
        if answer != "ok":
            raise damaged(self._path, KIND.title, str(answer))
        try:
            messages = tuple(self._messages(rows))
            taken_ids = tuple((message_id, _moment(at)) for message_id, at in taken)
            states = {session_id: (state, _moment(at)) for session_id, state, at in kept}
            next_sequence = max(counters["next_sequence"], messages[-1].sequence_number + 1 if messages else 1)
        except (TypeError, ValueError, OverflowError) as error:
            raise damaged(self._path, KIND.title, f"a row does not hold what was written ({error})") from error
        self._changes_at_load = counters["changes"]
        return Remembered(messages=messages, taken_ids=taken_ids, states=states, next_sequence=next_sequence)

    def write(self, change: Change) -> None:
        """One transaction."""
        with self._database.writing() as connection:
            counters = _counters(connection)
            if counters["owner"] != self._owner and counters["changes"] != self._changes_at_load:
                raise QueueUnavailable(f"{KIND.title} {self._path} was taken over by another process; stop one of the two")
            connection.executemany("DELETE FROM message WHERE sequence_number = ?", [(number,) for number in change.remove])
            connection.executemany(_PUT, map(_row, change.put))
            if change.keep_ids_between:
                oldest, newest = map(_microseconds, change.keep_ids_between)
                connection.execute("DELETE FROM taken_id WHERE at <= ? OR at >= ?", (oldest, newest))
            taken = [(message_id, _microseconds(at)) for message_id, at in change.take_ids]
            connection.executemany("INSERT OR REPLACE INTO taken_id VALUES (?, ?)", taken)
            for session_id, state, at in change.states:
                if state is None:
                    connection.execute("DELETE FROM session_state WHERE session_id = ?", (session_id,))
                else:
                    connection.execute("INSERT OR REPLACE INTO session_state VALUES (?, ?, ?)", (session_id, state, _microseconds(at)))
            counters |= {"next_sequence": change.next_sequence, "owner": self._owner, "changes": counters["changes"] + 1}
            connection.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?)", counters.items())

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _messages(self, rows: list[tuple[Any, ...]]) -> Iterator[QueueMessage]:
        for *row, checksum, lives in rows:
            if _checksum(tuple(row), lives) != checksum:
                raise damaged(self._path, KIND.title, f"message {row[0]} is not as it was written")
            number, state, message_id, session_id, body, properties, enqueued_at, scheduled_for, delivery_count, reason, description = row
            yield QueueMessage(
                sequence_number=number,
                message_id=message_id,
                session_id=session_id,
                body=body,
                properties=cast(dict[str, PropertyValue], msgspec.msgpack.decode(properties)),
                state=MessageState(state),
                enqueued_at=_moment(enqueued_at),
                scheduled_for=None if scheduled_for is None else _moment(scheduled_for),
                time_to_live=None if lives is None else lives * _MICROSECOND,
                delivery_count=delivery_count,
                dead_letter_reason=reason,
                dead_letter_description=description,
            )


def _counters(connection: sqlite3.Connection) -> dict[str, int]:
    return {"next_sequence": 1, "owner": 0, "changes": 0, **dict(connection.execute("SELECT name, value FROM counter"))}


def _row(message: QueueMessage) -> tuple[Any, ...]:
    lives = None if message.time_to_live is None else message.time_to_live // _MICROSECOND
    row = (
        message.sequence_number,
        message.state.value,
        message.message_id,
        message.session_id,
        message.body,
        msgspec.msgpack.encode(dict(message.properties)),
        _microseconds(message.enqueued_at),
        None if message.scheduled_for is None else _microseconds(message.scheduled_for),
        message.delivery_count,
        message.dead_letter_reason,
        message.dead_letter_description,
    )
    return (*row, _checksum(row, lives), lives)


def _checksum(row: tuple[Any, ...], lives: int | None) -> int:
    # Rows of the first release had no lifetime, and their checksums still hold.
    return zlib.crc32(msgspec.msgpack.encode(row if lives is None else (*row, lives)))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
