"""One measured figure, beside the limit or the peer that was measured in the same run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """``peer`` is a limit that was set, or something comparable that was measured in the same run."""

    name: str
    value: float
    unit: str
    peer: float | None = None
    peer_name: str = ""

    @property
    def peer_text(self) -> str:
        """The peer with its unit."""
        return f"{self.peer:,.4g} {self.unit} ({self.peer_name})" if self.peer is not None else ""

    @property
    def ratio_text(self) -> str:
        """Value by peer."""
        return f"{self.value / self.peer:.2f}" if self.peer else ""

    def as_document(self) -> dict[str, object]:
        """For a JSON line."""
        ratio = round(self.value / self.peer, 4) if self.peer else None
        return {"figure": self.name, "value": self.value, "unit": self.unit, "peer": self.peer, "peer_name": self.peer_name, "ratio": ratio}
