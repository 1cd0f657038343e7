"""The stand-ins' own clock: the wall clock, moved or pinned on request."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any


def wall_now() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.now(UTC)


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant; one without a zone is taken as UTC. Raises ValueError for anything else, also outside the calendar."""
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as overflow:
        raise ValueError(f"{text!r} lies outside the calendar") from overflow


def write_instant(moment: datetime) -> str:
    """Write an instant as the vendors do: UTC, ending in Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class SimClock:
    """A thread-safe clock: the wall clock plus an offset, or one pinned instant."""

    def __init__(self, now: datetime | None = None, *, frozen: bool = False) -> None:
        self._lock = threading.Lock()
        self._offset = timedelta(0)
        self._pinned: datetime | None = None
        self._watchers: list[Callable[[], None]] = []
        self.set(now, frozen=frozen)

    def now(self) -> datetime:
        """The simulated instant, aware, in UTC."""
        with self._lock:
            return self._pinned if self._pinned is not None else wall_now() + self._offset

    def set(self, now: datetime | None, frozen: bool = False) -> None:
        """Move the clock to `now`, from where it goes on running, or stands still if `frozen`. None goes back to the wall clock."""
        if now is not None and now.tzinfo is None:
            raise ValueError(f"the clock needs an aware instant, got {now.isoformat()}")
        with self._lock:
            wall = wall_now()
            target = (now or wall).astimezone(UTC)
            self._offset = target - wall if now is not None else timedelta(0)
            self._pinned = target if frozen else None
        self._tell()

    def advance(self, by: timedelta) -> None:
        """Move the clock on by `by`; a pinned clock stays pinned."""
        with self._lock:
            if self._pinned is not None:
                self._pinned += by
            self._offset += by
        self._tell()

    def watch(self, moved: Callable[[], None]) -> None:
        """Call `moved` whenever the clock is set, so that whoever waits for an instant looks again."""
        self._watchers.append(moved)

    def setting(self) -> dict[str, Any]:
        """What has to be kept to go on with this clock after a restart."""
        with self._lock:
            pinned = None if self._pinned is None else self._pinned.isoformat()
            return {"offset_seconds": self._offset.total_seconds(), "pinned": pinned}

    def restore(self, setting: Mapping[str, Any]) -> None:
        """Go on with a clock that `setting()` described."""
        with self._lock:
            self._offset = timedelta(seconds=setting["offset_seconds"])
            self._pinned = None if setting["pinned"] is None else datetime.fromisoformat(setting["pinned"])
        self._tell()

    def _tell(self) -> None:
        for moved in list(self._watchers):
            moved()
