"""What the oracle says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class Verdict:
    """What is not as it must be, in sentences; and what was tolerated."""

    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    #: Late writes that were found and marked in time.
    late_twins: int = 0
    #: People about whom only one end is possible, and all people.
    certain: int = 0
    people: int = 0

    @property
    def sentences(self) -> list[str]:
        """All complaints."""
        return [
            *(f"lost: {text}" for text in self.lost),
            *(f"wrong: {text}" for text in self.wrong),
            *(f"duplicated: {text}" for text in self.duplicated),
        ]

    @property
    def good(self) -> bool:
        """Nothing to complain about."""
        return not (self.lost or self.wrong or self.duplicated)

    def take(self, complaints: Iterable[tuple[str, str]]) -> None:
        """Add complaints: ``lost``, ``wrong`` or ``duplicated``, each with its sentence."""
        for sort, sentence in complaints:
            getattr(self, sort).append(sentence)
