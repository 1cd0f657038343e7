"""Whole copies of a SQLite file, made while others read and write it, and put in place only when they are complete."""

from __future__ import annotations

import filecmp
import os
import sqlite3
from contextlib import closing
from pathlib import Path


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of ``source`` as of one moment, with what its write-ahead log holds, synced. ``target`` must not exist.

    It goes through SQLite's online backup ("c3ref/backup_finish"), in one step, so that no writer makes it begin anew.

    Raises:
        sqlite3.Error: the source cannot be read.
        OSError: the target cannot be written.
    """
    # Readable for its owner alone, like the file itself; a target that is there already is somebody else's.
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as origin,
        closing(sqlite3.connect(target)) as copy,
    ):
        origin.backup(copy)


def keep_copy(source: Path, name: str) -> Path:
    """Keep a copy of ``source`` beside it under ``name``, or a free name that begins so. A copy that is there already with the same content will do.

    Raises as ``copy_database``.
    """
    unfinished = source.with_name(f"{name}.unfinished")
    unfinished.unlink(missing_ok=True)
    copy_database(source, unfinished)
    number, kept = 1, source.with_name(name)
    while kept.exists():
        if filecmp.cmp(unfinished, kept, shallow=False):
            unfinished.unlink()
            return kept
        number += 1
        kept = source.with_name(f"{name}-{number}")
    unfinished.rename(kept)
    sync_folder(source.parent)
    return kept


def sync_folder(folder: Path) -> None:
    """Make names in a folder last through a power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
