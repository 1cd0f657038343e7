"""What the tick sees to beside waking: the audit is sealed, holes in the coverage are told, and erasures that were wished for carried out."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from joinery.engine.coverage_watch import CoverageWatch
from joinery.engine.erasure import Eraser
from joinery.engine.seals import Sealer
from joinery.errors import SealUnavailable, StoreUnavailable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Upkeep:
    """The sealer, the watch over the coverage and the eraser, as the tick calls them."""

    sealer: Sealer
    coverage: CoverageWatch
    eraser: Eraser

    def before_waking(self) -> None:
        """Seal where it is time, and tell of holes. Raises StoreUnavailable, QueueUnavailable."""
        self._seal()
        self.coverage.watch()

    def _seal(self) -> None:
        try:
            if heads := self.sealer.seal_if_due():
                _log.info("sealed", extra={"action": "sealed", "heads": heads})
        except SealUnavailable as error:
            # Work goes on; health shows since when nothing was sealed.
            _log.warning("not sealed", extra={"action": "not_sealed", "error": str(error)})

    def erase(self) -> None:
        """Erase whom somebody wished to be erased, and about whom nothing is open any more."""
        try:
            if people := self.eraser.carry_out_wishes():
                _log.info("erased", extra={"action": "erased", "people": people})
        except StoreUnavailable as error:
            # Somebody reads the files in this moment; the wish stands, and the next tick goes on.
            _log.warning("not erased", extra={"action": "not_erased", "error": type(error).__name__})
