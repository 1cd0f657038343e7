"""The log of the seals in one file: appended to and synced, never rewritten. Beside the store, or better in a place that only grows."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joinery.errors import LostRace, SealUnavailable


class FileSealLog:
    """Opens the file anew for every call, so that it may be moved, or lie on a share that comes and goes. Safe for several processes.

    Args:
        path: the file; it and its folder are made at the first append.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)

    def size(self) -> int:
        """How many bytes there are; none where there is no file yet."""
        with self._translated():
            return self._path.stat().st_size if self._path.exists() else 0

    def read(self, start: int = 0) -> bytes:
        """Everything from byte ``start`` on."""
        with self._translated():
            if not self._path.exists():
                return b""
            with self._path.open("rb") as file:
                file.seek(start)
                return file.read()

    def append(self, data: bytes, *, at: int) -> None:
        """Add to the end under a lock, and sync the file (and its folder, where it is new)."""
        with self._translated():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new = not self._path.exists()
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file).st_size != at:
                    raise LostRace(f"{self._path}: somebody else added a seal")
                _write(file, data)
                os.fsync(file)
            finally:
                os.close(file)
            if new:
                _sync_folder(self._path.parent)

    def close(self) -> None:
        """Nothing is open between two calls."""

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SealUnavailable(f"the seals in {self._path}: {error.strerror or error}") from error


def _write(file: int, data: bytes) -> None:
    """All of it: the system may take less than it was given."""
    while data:
        data = data[os.write(file, data) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
