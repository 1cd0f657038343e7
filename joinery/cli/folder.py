"""The data folder: who may use it, and whether what lies in it is ours."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from joinery.cli.exits import finding
from joinery.errors import ConfigurationError, Finding

#: The first bytes of every SQLite 3 file ("fileformat2", section 1.3).
_MAGIC = b"SQLite format 3\x00"
#: What `joinery up` keeps, and what the stand-ins keep.
OURS, STAND_INS = ("state.db", "queue.db"), ("graph.db", "halo.sqlite")


@contextlib.contextmanager
def held(data: Path, *names: str) -> Iterator[None]:
    """Hold the folder's locks (``up``, ``stand-ins``) inside the block; the folder is made where it is missing.

    The first name is the command that others are told about.

    The locks are flock(2) locks, which die with their process: a file that a killed process left behind refuses nobody.

    Raises:
        ConfigurationError: the folder cannot be used, holds a foreign file, or another process has it.
    """
    import fcntl

    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise finding(str(data), f"cannot be a data folder ({error.strerror})", "Name another folder with --data.") from None
    with contextlib.ExitStack() as stack:
        for name in names:
            path = data / f"{name}.lock"
            try:
                # Unbuffered: what a full disk did not take must not be written once more when the file is closed.
                lock = stack.enter_context(path.open("a+b", buffering=0))
            except OSError as error:
                raise finding(str(path), f"cannot be written ({error.strerror})", "Name a folder you may write to with --data.") from None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                by = lock.read().decode(errors="replace").strip() or "another process"
                remedy = "Stop that one first, or name another folder with --data."
                raise finding(str(data), f"is in use by {by}", remedy) from None
            try:
                lock.truncate(0)
                lock.write(f"`joinery {names[0]}`, process {os.getpid()}".encode())
            except OSError as error:
                remedy = "Make room there, or name another folder with --data; nothing was changed."
                raise finding(str(path), f"cannot be written ({error.strerror})", remedy) from None
        _check_files(data, (*(OURS if "up" in names else ()), *(STAND_INS if "stand-ins" in names else ())))
        yield


def accounts_in(data: Path) -> int:
    """How many accounts the pretend Graph of a folder holds. Read beside it, so that no call is counted and no fault is used up."""
    path = data / STAND_INS[0]
    there = "json_extract(body, '$.deleted') IS NULL AND NOT json_extract(body, '$.gone')"
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM documents WHERE kind = 'user' AND {there}").fetchone()[0])  # noqa: S608 - a constant
    except sqlite3.Error:
        return 0


def _check_files(data: Path, names: tuple[str, ...]) -> None:
    findings = []
    for name in names:
        path = data / name
        try:
            with path.open("rb") as file:
                start = file.read(len(_MAGIC))
        except FileNotFoundError:
            continue
        except OSError as error:
            findings.append(
                Finding(place=str(path), problem=f"cannot be read ({error.strerror})", remedy="Name another folder with --data.")
            )
            continue
        if start and (start != _MAGIC or (name in STAND_INS and _is_foreign(path))):
            remedy = "Name another folder with --data, or move the file away; it was left as it is."
            findings.append(Finding(place=str(path), problem="is not a file that Joinery wrote", remedy=remedy))
    if findings:
        raise ConfigurationError(findings)


def _is_foreign(path: Path) -> bool:
    """Whether a SQLite file holds tables, and not the one of a stand-in. (The state store and the queue check theirs themselves.)"""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError:
        return True
    return bool(tables) and "documents" not in tables
