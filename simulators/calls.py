"""The log of calls a stand-in received; benchmarks and tests count calls here."""

import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

#: How many calls are remembered; the oldest are forgotten first, so that an idle product stays small.
CALLS_KEPT = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call that reached a stand-in."""

    #: In capitals.
    method: str
    #: Decoded, without the query.
    path: str
    #: The raw query string, "" without one.
    query: str
    #: None when the connection was dropped without an answer.
    status: int | None
    #: Milliseconds from the request's arrival to its answer.
    ms: float


class CallLog:
    """The last calls, oldest first; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque(maxlen=CALLS_KEPT)

    def add(self, method: str, path: str, status: int | None, ms: float, query: str = "") -> None:
        """Remember one call; `status` None means that the connection was dropped."""
        with self._lock:
            self._calls.append(Call(method=method, path=path, query=query, status=status, ms=round(ms, 3)))

    def list(self) -> list[dict[str, Any]]:
        """The calls as JSON-able rows: method, path, query, status, ms."""
        with self._lock:
            calls = list(self._calls)
        return [asdict(call) for call in calls]

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._calls.clear()
