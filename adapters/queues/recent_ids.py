"""Which message ids were taken lately, for duplicate detection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta


class RecentIds:
    """Message ids with the moment they were taken. The first taking counts: a dropped duplicate does not prolong it."""

    def __init__(self, window: timedelta | None, taken: Iterable[tuple[str, datetime]] = ()) -> None:
        self._window = window
        #: Oldest first, so that forgetting looks only at the front.
        self._taken: dict[str, datetime] = dict(taken) if window else {}

    @property
    def enabled(self) -> bool:
        """Whether duplicates are looked for at all."""
        return bool(self._window)

    def holds(self, message_id: str, now: datetime) -> bool:
        """Whether the id was taken within the window."""
        at = self._taken.get(message_id)
        return at is not None and self._is_recent(at, now)

    def take(self, ids: Mapping[str, datetime], now: datetime) -> None:
        """Remember these."""
        for message_id in ids:
            self._taken.pop(message_id, None)
            self._taken[message_id] = now

    def forget_old(self, now: datetime) -> tuple[datetime, datetime] | None:
        """Forget what is out of the window; returns the span that is kept where there was something to forget."""
        if not self._window:
            return None
        old = []
        for message_id, at in self._taken.items():
            if self._is_recent(at, now):
                break
            old.append(message_id)
        for message_id in old:
            del self._taken[message_id]
        return (now - self._window, now + self._window) if old else None

    def _is_recent(self, at: datetime, now: datetime) -> bool:
        # Both ways: an id from the far future was taken by a clock that was wrong, and must not be remembered for years.
        return self._window is not None and abs(now - at) < self._window
