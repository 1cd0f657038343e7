"""Which faults are at work in this moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.simulation.faults import Fault


class Weather:
    """Windows that are open, and single faults that lie in wait."""

    def __init__(self) -> None:
        self._open: dict[str, list[Fault]] = {}
        self._armed: dict[str, list[list[object]]] = {}
        #: How often each kind of fault made a difference.
        self.struck: Counter[str] = Counter()

    def open(self, fault: Fault) -> None:
        """A window opens."""
        self._open.setdefault(fault.kind, []).append(fault)

    def close(self, fault: Fault) -> None:
        """A window closes."""
        windows = self._open.get(fault.kind, [])
        if fault in windows:
            windows.remove(fault)

    def window(self, kind: str) -> Fault | None:
        """The window of this kind that is open."""
        windows = self._open.get(kind)
        return windows[-1] if windows else None

    def has(self, kind: str) -> bool:
        """Whether a window of this kind is open; whoever asks is struck by it."""
        if self._open.get(kind):
            self.struck[kind] += 1
            return True
        return False

    def arm(self, fault: Fault) -> None:
        """A single fault lies in wait."""
        self._armed.setdefault(fault.kind, []).append([fault, fault.n])

    def armed(self, kind: str) -> bool:
        """Whether one of this kind lies in wait."""
        return bool(self._armed.get(kind))

    def strikes(self, kind: str, asks: str = "") -> Fault | None:
        """This is an occasion for such a fault: the fault if it strikes now."""
        waiting = self._armed.get(kind)
        if not waiting:
            return None
        for entry in waiting:
            fault, left = entry
            assert isinstance(fault, Fault) and isinstance(left, int)
            if fault.asks in ("", asks):
                entry[1] = left - 1
                if left <= 1:
                    waiting.remove(entry)
                    self.struck[kind] += 1
                    return fault
                return None
        return None

    def clear(self) -> Iterable[Fault]:
        """The end of all faults; returns the windows that were open."""
        still = [fault for windows in self._open.values() for fault in windows]
        self._open.clear()
        self._armed.clear()
        return still
