"""The log file: one JSON object per line, with ids and never a name or an address."""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path

from joinery.log_lines import OURS, JsonLines

#: Bytes of one log file; four are kept.
_SIZE_MAX = 5_000_000


class _QuietFile(logging.handlers.RotatingFileHandler):
    """A log on a full disk has gaps; it must neither stop the work nor fill the terminal with what it cannot say."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Nothing: the next line is tried again."""


def log_to(path: Path) -> None:
    """Send everything from INFO on (of others: from WARNING on) to the file, and nothing to the terminal. Raises OSError."""
    _log_with(_QuietFile(path, maxBytes=_SIZE_MAX, backupCount=3, encoding="utf-8"))


def log_to_stderr() -> None:
    """The same, for whoever gathers what a container says."""
    _log_with(logging.StreamHandler())


def _log_with(handler: logging.Handler) -> None:
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
