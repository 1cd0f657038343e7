"""The log file: one JSON object per line, with ids and never a name or an address."""

from __future__ import annotations

import json
import logging
import logging.handlers
from datetime import UTC, datetime
from pathlib import Path

#: Loggers whose messages are constant and whose fields are ids.
_OURS = ("joinery", "adapters", "simulators", "workflows", "wiring")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: Bytes of one log file; four are kept.
_SIZE_MAX = 5_000_000


class JsonLines(logging.Formatter):
    """A record as one line of JSON.

    Of other people's loggers only the constant part of the message is kept: what they fill in may be an address.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        ours = record.name.partition(".")[0] in _OURS
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage() if ours else str(record.msg),
        }
        if ours:
            line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            if trace is not None:
                line["raised_at"] = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        return json.dumps(line, default=str, ensure_ascii=False)


class _QuietFile(logging.handlers.RotatingFileHandler):
    """A log on a full disk has gaps; it must neither stop the work nor fill the terminal with what it cannot say."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Nothing: the next line is tried again."""


def log_to(path: Path) -> None:
    """Send everything from INFO on (of others: from WARNING on) to the file, and nothing to the terminal. Raises OSError."""
    handler = _QuietFile(path, maxBytes=_SIZE_MAX, backupCount=3, encoding="utf-8")
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)
