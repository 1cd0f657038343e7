"""The watched groups: policy speaks of them by name, the directory by id. The exchange is kept in a shared row."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from joinery.domain.moments import from_text, to_text
from joinery.domain.person import Person, Sighting
from joinery.engine.ports import Clock, Directory, Document, StateStore
from joinery.errors import LostRace

_log = logging.getLogger(__name__)

#: Names of the shared row and of the index of who is in which group.
WATCHED = "watched-groups"
#: How long the names are believed without asking the directory again.
_FRESH = timedelta(hours=1)
#: Of so many groups inside watched ones the changes are followed, by twenty links; of more, the daily comparison tells.
_INNER_MAX = 1000
#: How long one process believes what it read from the store.
_REREAD = timedelta(seconds=30)


def named(sighting: Sighting, ids: Mapping[str, str]) -> Sighting:
    """A sighting with the display names of the watched groups (``ids``: name -> id) in place of the directory's ids; others are left out."""
    if not isinstance(sighting, Person):
        return sighting
    names = {identity: name for name, identity in ids.items()}
    return sighting.evolve(groups=frozenset(names[one.lower()] for one in sighting.groups if one.lower() in names))


class GroupBook:
    """Names and ids of the watched groups. Thread-safe."""

    def __init__(self, names: Iterable[str], *, store: StateStore, directory: Directory, clock: Clock) -> None:
        self._names = tuple(names)
        self._store = store
        self._directory = directory
        self._clock = clock
        self._lock = threading.Lock()
        self._ids: dict[str, str] | None = None
        #: Group inside a watched one -> the watched ones that it lies in.
        self._inner: dict[str, tuple[str, ...]] = {}
        self._missing: tuple[str, ...] = ()
        self._resolved_at: datetime | None = None
        self._read_at: datetime | None = None
        #: Whether this process has asked the directory itself.
        self._asked_here = False

    def refresh(self, *, force: bool = False) -> None:
        """Ask the directory where it is time: once in each process, every hour, and while a name is missing. Raises TryLater or Refused."""
        known = self._known()
        if (
            not force
            and self._asked_here
            and known is not None
            and not self._missing
            and self._resolved_at
            and self._clock.now() - self._resolved_at < _FRESH
        ):
            return
        candidates: dict[str, list[str]] = {}
        for group in self._directory.resolve_groups(self._names):
            candidates.setdefault(group.name, []).append(group.id.lower())
        # Anybody may be able to make a second group with a watched name. The one that is known stays the one; if neither is
        # known, which is meant is for a person to say: the name counts as missing.
        before = known or {}
        found = {
            name: ids[0] if len(ids) == 1 else before[name] for name, ids in candidates.items() if len(ids) == 1 or before.get(name) in ids
        }
        etag, _ = self._store.read_shared(WATCHED)
        # A group that is not found by its name any more was renamed, or deleted. Its id still tells who is in it: whoever it
        # protected stays protected until the name is found again.
        ids = {**{name: one for name, one in before.items() if one not in found.values()}, **found}
        inner: dict[str, list[str]] = {}
        for watched, nested in sorted(self._directory.groups_within(ids.values()).items()):
            for one in sorted(nested - set(ids.values())):
                inner.setdefault(one, []).append(watched)
        if len(inner) > _INNER_MAX:
            _log.warning("groups not followed", extra={"action": "groups_not_followed", "inside": len(inner), "followed": _INNER_MAX})
            inner = {one: inner[one] for one in sorted(inner)[:_INNER_MAX]}
        missing = sorted(set(self._names) - set(found))
        document: Document = {"at": to_text(self._clock.now()), "ids": ids, "missing": missing, "inner": inner}
        # Another worker may ask at the same time; its answer is as fresh as ours.
        with contextlib.suppress(LostRace):
            self._store.replace_shared(WATCHED, document, expected=etag)
        with self._lock:
            self._asked_here = True
            self._take(document)

    @property
    def resolved_at(self) -> datetime | None:
        """When somebody last asked the directory, as far as this process knows."""
        self._known()
        return self._resolved_at

    def ids(self) -> dict[str, str]:
        """Name -> id of every watched group that exists. Asks the directory only if nobody ever did."""
        known = self._known()
        if known is None:
            self.refresh(force=True)
            known = self._known() or {}
        return known

    def missing(self) -> tuple[str, ...]:
        """Names that policy mentions and the directory does not have."""
        self.ids()
        return self._missing

    def watches(self, group_id: str) -> bool:
        """Whether a notification about this group may concern us.

        True for every group while a watched name is missing: this may be the one, made just now.
        """
        known = self._known()
        return known is None or bool(self._missing) or bool(self.around(group_id))

    def around(self, group_id: str) -> tuple[str, ...]:
        """Ids of the watched groups that this one is, or lies in: who is in it is in those."""
        known = self.ids().values()
        own = (group_id.lower(),) if group_id.lower() in known else ()
        return own + tuple(one for one in self._inner.get(group_id.lower(), ()) if one in known)

    def inner(self) -> tuple[str, ...]:
        """Ids of the groups that lie inside watched ones, sorted: the directory names only the group whose own list changed."""
        self.ids()
        return tuple(sorted(self._inner))

    def _known(self) -> dict[str, str] | None:
        with self._lock:
            now = self._clock.now()
            if self._read_at is None or now - self._read_at >= _REREAD:
                _, document = self._store.read_shared(WATCHED)
                if document is not None:
                    self._take(document)
                self._read_at = now
            return self._ids

    def _take(self, document: Document) -> None:
        # A name that policy no longer mentions is no longer watched, whatever an older row says.
        self._ids = {name: identity for name, identity in document["ids"].items() if name in self._names}
        self._inner = {inner: tuple(around) for inner, around in document.get("inner", {}).items()}
        self._missing = tuple(name for name in self._names if name not in self._ids or name in document.get("missing", ()))
        self._resolved_at = from_text(document["at"])
