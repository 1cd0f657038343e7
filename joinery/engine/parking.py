"""Messages that nobody can understand, kept with the reason and the remedy until a person has looked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from joinery.domain.moments import from_text, to_text
from joinery.engine.ports import Clock, Randomness, Row, StateStore
from joinery.engine.rows import index_rows

#: The index of parked messages.
PARKED = "parked"


@dataclass(frozen=True, kw_only=True, slots=True)
class ParkedMessage:
    """One message that was taken out of the queue unhandled."""

    id: str
    at: datetime
    reason: str
    remedy: str
    #: The body as text; what is not UTF-8 is shown with replacement characters.
    body: str


class ParkingLot:
    """The parked table."""

    def __init__(self, store: StateStore, *, clock: Clock, randomness: Randomness) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness

    def park(self, body: bytes, *, reason: str, remedy: str) -> str:
        """Keep it; returns its id. Raises StoreUnavailable."""
        now = to_text(self._clock.now())
        data = {"at": now, "reason": reason[:500], "remedy": remedy, "body": body.decode("utf-8", "replace")[:16_000]}
        identity = f"{now}|{self._randomness.token()[:8]}"
        self._store.put_index(PARKED, identity, data)
        return identity

    def forget(self, texts: Iterable[str]) -> int:
        """Empty the body and the reason of every message that holds one of the texts, without case; returns how many."""
        holding = list(self._holding(texts))
        for row in holding:
            self._store.put_index(PARKED, row.name, {**row.data, "reason": "erased", "body": ""})
        return len(holding)

    def holds(self, texts: Iterable[str]) -> bool:
        """Whether any message holds one of the texts."""
        return any(True for _ in self._holding(texts))

    def _holding(self, texts: Iterable[str]) -> Iterator[Row]:
        # A body may be JSON, with its letters escaped.
        wanted = {form.casefold() for text in texts for form in (text, json.dumps(text)[1:-1])}
        for row in index_rows(self._store, PARKED):
            told = f"{row.data['reason']}\n{row.data['body']}".casefold()
            if any(text in told for text in wanted):
                yield row

    def listed(self) -> tuple[ParkedMessage, ...]:
        """All of them, oldest first."""
        return tuple(
            ParkedMessage(
                id=row.name, at=from_text(row.data["at"]), reason=row.data["reason"], remedy=row.data["remedy"], body=row.data["body"]
            )
            for row in index_rows(self._store, PARKED)
        )
