"""Who pressed pause, and why: one shared row that every worker reads before it acts."""

from __future__ import annotations

from joinery.domain.guard import Pauses
from joinery.domain.moments import to_text
from joinery.engine.ports import Clock, StateStore
from joinery.errors import LostRace

_ROW = "pauses"
#: Pauses every workflow.
ALL = "*"


class PauseBoard:
    """Reads and changes the pauses."""

    def __init__(self, store: StateStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def read(self) -> Pauses:
        """What is paused now. Raises StoreUnavailable."""
        _, document = self._store.read_shared(_ROW)
        return Pauses(reasons={name: entry["reason"] for name, entry in (document or {}).get("paused", {}).items()})

    def pause(self, workflow: str, reason: str) -> None:
        """Stop all effects of a workflow, or of all with ``*``; intake goes on."""
        self._change(workflow, reason)

    def resume(self, workflow: str) -> bool:
        """Let it act again; False if it was not paused."""
        return self._change(workflow, None)

    def _change(self, workflow: str, reason: str | None) -> bool:
        while True:
            etag, document = self._store.read_shared(_ROW)
            paused = dict((document or {}).get("paused", {}))
            was = workflow in paused
            paused.pop(workflow, None)
            if reason is not None:
                paused[workflow] = {"reason": reason, "at": to_text(self._clock.now())}
            try:
                self._store.replace_shared(_ROW, {"paused": paused}, expected=etag)
            except LostRace:
                continue
            return was
