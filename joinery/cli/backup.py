"""``joinery backup`` and ``joinery restore``: the data folder's state as of one moment, in a folder of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joinery import __version__
from joinery.cli.exits import WELL, finding
from joinery.cli.folder import held
from joinery.cli.options import settings_from
from joinery.cli.up import say
from joinery.errors import JoineryError

#: What a backup holds; the state comes first, because without it the others say nothing.
STATE, QUEUE, SECRET = "state.db", "queue.db", "client-state"
MANIFEST = "manifest.json"
#: Of the manifest; a higher one was written by a newer release.
FORMAT = 1
#: How long a backup waits for a worker that writes, and it for us, in seconds.
_BUSY = 10.0
#: What SQLite keeps beside a file; one of these without its file would spoil the restored one.
_BESIDE = ("", "-wal", "-shm", "-journal")


def backup(data: str | None, target: Path) -> int:
    """Copy what ``joinery up`` keeps, while it runs. Raises ConfigurationError; then nothing is left behind."""
    folder = _files_only(settings_from(data=data)).data
    if not (folder / STATE).is_file():
        raise finding(str(folder.absolute()), f"holds no {STATE}", "Name the data folder with --data.")
    if target.exists() or target.is_symlink():
        raise finding(str(target), "is there already", "Name a folder that does not exist yet; nothing was overwritten.")
    try:
        with _made(target) as unfinished:
            _copy(folder, unfinished)
            names = [name for name in (STATE, QUEUE, SECRET) if (unfinished / name).exists()]
            files = {name: _described(unfinished / name) for name in names}
            manifest = {
                "format": FORMAT,
                "joinery": __version__,
                "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "files": files,
            }
            _write(unfinished / MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n")
    except sqlite3.Error as error:
        raise finding(str(folder), f"cannot be copied ({error})", "If a file is damaged, restore an earlier backup.") from None
    except OSError as error:
        raise finding(str(target), f"cannot be written ({error.strerror})", "Name a new folder where there is room.") from None
    say(f"Backed up {', '.join(names)} to {target}.")
    return WELL


def _files_only(settings: Any) -> Any:
    """The settings, where the state lies in files. A backup without the state would be believed until it is needed."""
    if settings.store != "sqlite":
        remedy = "Copy the storage account with the tools of its vendor; or unset JOINERY_STORE to copy the files of a data folder."
        raise finding("JOINERY_STORE", f"is {settings.store!r}, and only files are copied", remedy)
    return settings


def restore(data: str | None, source: Path) -> int:
    """Put a backup into a data folder that holds no state. Raises ConfigurationError; then the folder is as it was."""
    settings = _files_only(settings_from(data=data))
    manifest = _checked(source)
    folder: Path = settings.data
    with held(folder, "restore", "up", "stand-ins"):
        taken = [name + end for name in manifest["files"] for end in _BESIDE if (folder / (name + end)).exists()]
        if taken:
            remedy = "Name an empty folder with --data, or move these files away first; nothing was overwritten."
            raise finding(str(folder), f"holds {', '.join(taken)}", remedy)
        unfinished = folder / "restore.unfinished"
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(mode=0o700)
            for name in manifest["files"]:
                _write(unfinished / name, (source / name).read_bytes())
            _made_ready(unfinished, settings.graph_tenant, made_at=str(manifest.get("made_at", "")))
            # The state goes first: with it and nothing else, the next start is sound; without it, it would begin anew.
            for name in sorted(manifest["files"], key=(STATE, QUEUE, SECRET).index):
                (unfinished / name).rename(folder / name)
            _sync(folder)
        except OSError as error:
            raise finding(str(folder), f"cannot be written ({error.strerror})", "Name a folder where there is room with --data.") from None
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    say(f"Restored {', '.join(manifest['files'])} of {manifest.get('made_at')} to {folder}.")
    say("The next start looks at everybody again, and replaces the subscriptions.")
    return WELL


@contextlib.contextmanager
def _made(target: Path) -> Iterator[Path]:
    """A folder that gets its name when the block has ended well, synced; else it is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished-{os.getpid()}")
    unfinished.mkdir(mode=0o700)
    try:
        yield unfinished
        _sync(unfinished)
        # Another backup may have taken the name meanwhile: a rename onto a folder that holds something fails.
        unfinished.rename(target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _copy(folder: Path, to: Path) -> None:
    """State and queue as of one moment. Raises sqlite3.Error or OSError.

    Nobody takes or settles a message while the queue's write lock is held: so whatever is gone from the copied queue has its
    consequences in the copied state, and whatever the copied delta links have passed is in one of the two.
    """
    from adapters.stores.copies import copy_database

    with contextlib.ExitStack() as stack:
        if (folder / QUEUE).exists():
            queue = stack.enter_context(contextlib.closing(sqlite3.connect(folder / QUEUE, timeout=_BUSY, isolation_level=None)))
            queue.execute("BEGIN IMMEDIATE")
            copy_database(folder / QUEUE, to / QUEUE)
        copy_database(folder / STATE, to / STATE)
    if (folder / SECRET).exists():
        _write(to / SECRET, (folder / SECRET).read_bytes())
    for name in (STATE, QUEUE):
        if (to / name).exists():
            _sound(to / name)


def _sound(path: Path) -> None:
    """Raises sqlite3.DatabaseError unless the copy is whole."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        # A single file is easier to keep than three.
        connection.execute("PRAGMA journal_mode=DELETE")
        (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if answer != "ok":
        raise sqlite3.DatabaseError(f"{path.name}: {answer}")


def _described(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    described: dict[str, Any] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    if path.suffix == ".db":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            described["version"] = connection.execute("PRAGMA user_version").fetchone()[0]
    return described


def _checked(source: Path) -> dict[str, Any]:
    """The manifest of a backup that is ours, whole, and not newer than we are. Raises ConfigurationError."""
    from adapters.queues.journal import KIND as QUEUE_KIND
    from adapters.stores.sqlite import KIND as STATE_KIND

    try:
        manifest = json.loads((source / MANIFEST).read_bytes())
        files = {str(name): (str(one["sha256"]), int(one["bytes"]), int(one.get("version", 0))) for name, one in manifest["files"].items()}
        number = int(manifest["format"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        remedy = "Name a folder that `joinery backup` made."
        raise finding(str(source), f"is no backup (its {MANIFEST} cannot be read)", remedy) from None
    known = {STATE: STATE_KIND.version, QUEUE: QUEUE_KIND.version, SECRET: 0}
    if number > FORMAT or any(version > known.get(name, 0) for name, (_, _, version) in files.items()):
        raise finding(str(source), f"was made by a newer release ({manifest.get('joinery')})", "Restore it with that release.")
    if STATE not in files or not set(files) <= set(known):
        raise finding(str(source / MANIFEST), "does not list what a backup holds", "Name a folder that `joinery backup` made.")
    for name, (digest, size, _) in files.items():
        try:
            content = (source / name).read_bytes()
        except OSError as error:
            raise finding(str(source / name), f"cannot be read ({error.strerror})", "Take another backup; this one is not whole.") from None
        if len(content) != size or hashlib.sha256(content).hexdigest() != digest:
            raise finding(str(source / name), "is not as it was written", "Take another backup; this one is damaged.")
    return {**manifest, "files": files}


def _made_ready(folder: Path, tenant: str, *, made_at: str) -> None:
    """Open the copies with our own code, forget what an older picture must not go on with, and say in the audit that it is one."""
    from adapters.queues.journal import SqliteJournal
    from adapters.stores.sqlite import SqliteStateStore
    from adapters.system import SystemClock, SystemRandomness
    from joinery.cli.operate import user
    from joinery.engine.operations import OperatorLog
    from joinery.engine.restoring import forget_bookmarks

    if (folder / QUEUE).exists():
        with contextlib.closing(SqliteJournal(folder / QUEUE)) as journal:
            journal.load()
    with contextlib.closing(SqliteStateStore(folder / STATE)) as store:
        try:
            forget_bookmarks(store)
            log = OperatorLog(tenant, store=store, clock=SystemClock(), randomness=SystemRandomness())
            log.record("restored", f"the backup of {made_at}", by=user(), workflow="*")
        except JoineryError as error:
            raise finding(str(folder), f"cannot be made ready ({error})", "The backup was left as it is; restore it elsewhere.") from None


def _write(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    from adapters.stores.copies import sync_folder

    sync_folder(folder)
