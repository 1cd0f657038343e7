"""A disk with a memory: every write and sync of a SQLite file is noted, and any moment of it can be cut off as a power loss would.

After a cut a file holds all that was written before its last sync. Of what was written later, each sector of 512 bytes arrived or did not,
in any order; so did each later truncation, and a file that was never synced may be missing. That is what SQLite reckons with
("atomiccommit", section 2: sectors may be torn between, not within, and writes may be reordered up to the next sync).

The recorder is a VFS of apsw, which brings a SQLite of its own; statements and pragmas are those of our code.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

_SECTOR = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened to the disk, or a mark that whoever drives the load left."""

    #: ``write``, ``truncate``, ``sync``, ``delete`` or ``mark``.
    what: str
    file: str = ""
    at: int = 0
    data: bytes = b""


class _Cursor(apsw.Cursor):
    """A cursor that says how many rows its statement changed, as those of the standard library do."""

    @property
    def rowcount(self) -> int:
        """Of the last statement."""
        return self.connection.changes()


class _Connection(apsw.Connection):
    def execute(self, *arguments: Any) -> Any:
        """With a cursor of ours."""
        return _Cursor(self).execute(*arguments)


class Disk:
    """Notes every event on files that are opened through ``connect``; the name of its VFS has to be its own."""

    def __init__(self, name: str) -> None:
        self.events: list[Event] = []
        self.name = name
        self._vfs = _Recorder(self)

    def connect(self, path: Path, busy_seconds: float) -> Any:
        """A connection whose file operations are noted. It answers to what our code asks of a connection of the standard library."""
        connection = _Connection(str(path), vfs=self.name)
        connection.set_busy_timeout(int(busy_seconds * 1000))
        return connection

    def mark(self, number: int) -> None:
        """What was asked for so far is acknowledged."""
        self.events.append(Event(what="mark", at=number))


class _Recorder(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(disk.name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _RecordedFile(self._disk, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802 - likewise
        self._disk.events.append(Event(what="delete", file=Path(name).name))
        super().xDelete(name, sync)


class _RecordedFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._events, self._file = disk.events, Path(path or "temporary").name
        super().__init__("", name, flags)  # type: ignore[arg-type]  # None is a temporary file

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - likewise
        self._events.append(Event(what="write", file=self._file, at=offset, data=bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - likewise
        self._events.append(Event(what="truncate", file=self._file, at=newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - likewise
        self._events.append(Event(what="sync", file=self._file))
        super().xSync(flags)


@dataclass(slots=True)
class _File:
    synced: bytearray = field(default_factory=bytearray)
    #: False until a sync: the name may be lost too.
    lasts: bool = False
    later: list[Event] = field(default_factory=list)

    def sync(self) -> None:
        for event in self.later:
            _apply(self.synced, event)
        self.later, self.lasts = [], True

    def after_the_cut(self, chance: random.Random) -> bytes | None:
        if not self.lasts and chance.random() < 0.3:
            return None
        found = bytearray(self.synced)
        # Some cuts take nearly all of what was not synced, some nearly nothing.
        arrives = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for event in self.later:
            if event.what == "truncate":
                if chance.random() < arrives:
                    _apply(found, event)
                continue
            for start, part in _sectors(event):
                if chance.random() < arrives:
                    _apply(found, Event(what="write", at=start, data=part))
        return bytes(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """What the disk holds when the power comes back."""

    #: The last mark before the cut.
    acknowledged: int
    files: dict[str, bytes]

    def lay_out(self, folder: Path) -> Path:
        """Write the files into a new folder."""
        folder.mkdir()
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder


def images(events: list[Event], *, count: int, seed: int, syncs: bool = True) -> Iterator[Image]:
    """Cut the power ``count`` times, at moments spread over all events; without ``syncs`` the disk lies about every one after the first mark."""
    chance = random.Random(seed)
    cuts = sorted(chance.sample(range(1, len(events) + 1), count))
    files: dict[str, _File] = {}
    acknowledged = 0
    for position, event in enumerate(events, start=1):
        if event.what == "mark":
            acknowledged = event.at
        elif event.what == "delete":
            files.pop(event.file, None)
        elif event.what == "sync":
            if syncs or not acknowledged:
                files[event.file].sync()
        else:
            files.setdefault(event.file, _File()).later.append(event)
        while cuts and cuts[0] == position:
            cuts.pop(0)
            found = {name: file.after_the_cut(chance) for name, file in files.items()}
            yield Image(acknowledged=acknowledged, files={name: content for name, content in found.items() if content is not None})


def _sectors(event: Event) -> Iterator[tuple[int, bytes]]:
    start, data = event.at, event.data
    while data:
        length = _SECTOR - start % _SECTOR
        yield start, data[:length]
        start, data = start + length, data[length:]


def _apply(content: bytearray, event: Event) -> None:
    if event.what == "truncate":
        del content[event.at :]
        return
    end = event.at + len(event.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[event.at : end] = event.data
