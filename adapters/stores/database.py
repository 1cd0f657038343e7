"""Opening a SQLite file that is ours, and only that: WAL, every commit synced, a foreign or newer file left as it is."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from adapters.stores.copies import keep_copy
from joinery.errors import ConfigurationError, Finding, TryLater

#: The first bytes of every SQLite 3 file ("fileformat2", section 1.3), and where it keeps the application id.
_MAGIC = b"SQLite format 3\x00"
_APPLICATION_ID = slice(68, 72)

#: Takes a file from one version to the next, within a transaction that it must not end.
Upgrade = Callable[[sqlite3.Connection], None]

#: Opens a file, given how many seconds to wait for another process that writes.
Connect = Callable[[Path, float], sqlite3.Connection]


def connect_plainly(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """A connection that begins and ends transactions only where it is told to, for any thread."""
    return sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileKind:
    """What a file of ours says about itself."""

    #: What people call it, for messages.
    title: str
    #: ``PRAGMA application_id``.
    application_id: int
    #: What a new file of this version is made with.
    schema: str
    #: The first takes version 1 to version 2, and so on. A published step is never changed.
    upgrades: tuple[Upgrade, ...] = ()

    @property
    def version(self) -> int:
        """``PRAGMA user_version``; a higher one was written by a newer release."""
        return 1 + len(self.upgrades)


class Database:
    """One file and its idle connections. A thread borrows a connection for one piece of work, so threads that end leave nothing open.

    ``unavailable`` is the error that callers raise when SQLite cannot do its work now (locked, disk full, input/output error, read-only).
    ``connect`` is for whoever has to see what is written: every pragma and statement of ours goes through what it returns.
    """

    def __init__(
        self,
        path: Path,
        kind: FileKind,
        *,
        unavailable: Callable[[str], TryLater],
        busy_timeout: timedelta,
        connect: Connect = connect_plainly,
    ) -> None:
        self._path = path
        self._kind = kind
        self._unavailable = unavailable
        self._busy_seconds = busy_timeout.total_seconds()
        self._open = connect
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] | None = []
        _refuse_foreign(path, kind)
        try:
            self._give_back(self._create())
            self._identity = _identity(path)
        except OSError as error:
            raise _unusable(path, kind, error.strerror or str(error)) from error
        except sqlite3.Error as error:
            raise self._at_open(error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for one query. Raises ``unavailable``."""
        connection = self._borrow()
        try:
            yield connection
        except sqlite3.Error as error:
            connection.close()
            raise self._unavailable(self._says(error)) from error
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection within ``BEGIN IMMEDIATE``; commits at the end, rolls back on any error. Raises ``unavailable``."""
        connection = self._borrow()
        try:
            connection.execute("BEGIN IMMEDIATE")
            if (version := _version(connection)) != self._kind.version:
                # Somebody started another release on the same file: what we would write, it might misread.
                remedy = f"is now version {version}, and this release writes {self._kind.version}: stop this one"
                raise self._unavailable(f"{self._kind.title} {self._path} {remedy}")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            _abandon(connection)
            raise self._unavailable(self._says(error)) from error
        except BaseException:
            # An answer such as LostRace: the connection is sound, only its transaction ends.
            if _rolled_back(connection):
                self._give_back(connection)
            raise
        self._give_back(connection)

    def shred(self) -> None:
        """Leave nothing of deleted or replaced content in the file or its log. Raises ``unavailable``; a repeat is harmless."""
        with self.reading() as connection:
            # Zeroing what is deleted (secure_delete) leaves copies that moved when pages were balanced; a rebuilt file has none.
            connection.execute("VACUUM")
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise self._unavailable(f"{self._kind.title} {self._path} is being read, so its log cannot be emptied")

    def close(self) -> None:
        """Close the idle connections; those at work are closed when they come back. Nothing answers afterwards."""
        with self._lock:
            idle, self._idle = self._idle or [], None
        for connection in idle:
            connection.close()

    def _borrow(self) -> sqlite3.Connection:
        with self._lock:
            if self._idle is None:
                raise self._unavailable(f"{self._kind.title} {self._path} is closed")
            if _identity(self._path) != self._identity:
                # What is written to a file that was moved away or replaced is gone with it, and nobody would notice.
                remedy = "bring it back, or stop this process before you replace it"
                raise self._unavailable(f"{self._kind.title} {self._path} is not the file that was opened: {remedy}")
            if self._idle:
                return self._idle.pop()
        try:
            return self._connect()
        except sqlite3.Error as error:
            raise self._unavailable(self._says(error)) from error

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if self._idle is not None:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = self._open(self._path, self._busy_seconds)
        try:
            # FULL, because with NORMAL a power loss takes commits that were acknowledged.
            connection.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _create(self) -> sqlite3.Connection:
        """The first connection: identify the file, make it if it is new, upgrade it if it is old, and switch WAL on."""
        # Readable for its owner alone; SQLite gives the -wal and -shm files the same rights.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            if self._is_new(connection):
                for statement in (f"PRAGMA application_id={self._kind.application_id}", f"PRAGMA user_version={self._kind.version}"):
                    connection.execute(statement)
                for statement in self._kind.schema.split(";"):
                    connection.execute(statement)
            connection.execute("COMMIT")
            while self._is_old(connection):
                self._upgrade(connection)
            self._switch_wal_on(connection)
        except BaseException:
            _abandon(connection)
            raise
        return connection

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        version = _version(connection)
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application_id == 0 and version == 0 and tables == 0:
            return True
        if application_id != self._kind.application_id:
            raise _refusal(self._path, self._kind, f"is a database of another program (application id {application_id})")
        if version > self._kind.version:
            raise ConfigurationError(
                [
                    Finding(
                        place=str(self._path),
                        problem=f"was written by a newer release (version {version}, this one knows {self._kind.version})",
                        remedy="Start the newer release, or name another data folder; the file was left as it is.",
                    )
                ]
            )
        return False

    def _is_old(self, connection: sqlite3.Connection) -> bool:
        return _version(connection) < self._kind.version

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        """One version up, in one transaction; a copy of the file as it was is kept beside it. A crash leaves the old version or the new."""
        connection.execute("BEGIN IMMEDIATE")
        if not self._is_old(connection):
            # Another process was faster.
            connection.execute("ROLLBACK")
            return
        version = _version(connection)
        # Nobody writes while we hold the lock, so the copy is the file that the step begins with.
        kept = keep_copy(self._path, f"{self._path.name}.version-{version}")
        try:
            self._kind.upgrades[version - 1](connection)
        except (sqlite3.IntegrityError, sqlite3.OperationalError, ValueError) as error:
            if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_ERROR:
                raise
            problem = f"cannot be upgraded from version {version} to {version + 1} ({error})"
            remedy = f"Go on with the release before and report it; the file was left as it is, and {kept.name} is a copy of it."
            raise ConfigurationError([Finding(place=str(self._path), problem=problem, remedy=remedy)]) from error
        connection.execute(f"PRAGMA user_version={version + 1}")
        connection.execute("COMMIT")

    def _switch_wal_on(self, connection: sqlite3.Connection) -> None:
        # The switch needs the file alone and does not wait by itself for another process that opens it at the same time.
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)
        if mode != "wal":
            raise ConfigurationError(
                [
                    Finding(
                        place=str(self._path),
                        problem=f"cannot be kept as a write-ahead log (journal mode stays {mode})",
                        remedy="Choose a data folder on a local disk; network drives do not carry it.",
                    )
                ]
            )

    def _at_open(self, error: sqlite3.Error) -> Exception:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return damaged(self._path, self._kind.title, str(error))
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY):
            return _unusable(self._path, self._kind, str(error))
        return self._unavailable(self._says(error))

    def _says(self, error: sqlite3.Error) -> str:
        return f"{self._kind.title} {self._path}: {error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"


def damaged(path: Path, title: str, problem: str) -> ConfigurationError:
    """The file is ours and cannot be trusted any more."""
    return ConfigurationError(
        [
            Finding(
                place=str(path),
                problem=f"{title} is damaged: {problem}",
                remedy="Stop everything that uses it, keep a copy of the file and its -wal, then restore a backup or move it away to start with an empty one.",
            )
        ]
    )


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file stands there; None where there is none that can be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _refuse_foreign(path: Path, kind: FileKind) -> None:
    """Look at the first bytes before SQLite opens the file, because opening alone can already write to it (recovery, checkpoint)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(path, kind, error.strerror or str(error)) from error
    if not header:
        return
    if not header.startswith(_MAGIC):
        raise _refusal(path, kind, "is no database")
    application_id = int.from_bytes(header[_APPLICATION_ID], "big")
    if application_id not in (0, kind.application_id):
        raise _refusal(path, kind, f"is a database of another program (application id {application_id})")


def _refusal(path: Path, kind: FileKind, problem: str) -> ConfigurationError:
    remedy = f"Name another file for {kind.title}, or move this one away; it was left as it is."
    return ConfigurationError([Finding(place=str(path), problem=problem, remedy=remedy)])


def _unusable(path: Path, kind: FileKind, problem: str) -> ConfigurationError:
    remedy = f"Name a file for {kind.title} in a folder that this user may write to."
    return ConfigurationError([Finding(place=str(path), problem=f"cannot be opened: {problem}", remedy=remedy)])


def _rolled_back(connection: sqlite3.Connection) -> bool:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        connection.close()
        return False
    return True


def _abandon(connection: sqlite3.Connection) -> None:
    """End the transaction and the connection; after an error of SQLite's a fresh one is the safe one."""
    if _rolled_back(connection):
        connection.close()
