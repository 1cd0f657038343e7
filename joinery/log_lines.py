"""How a log record becomes a line: a constant message and fields with ids, never a name or an address."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

#: Loggers whose messages are constant and whose fields are ids.
OURS = ("joinery", "adapters", "simulators", "workflows", "wiring")
#: Loggers of the Functions worker; the host sorts their lines apart from ours.
_PLATFORM = ("azure.functions", "azure_functions_worker", "azure_functions_runtime", "proxy_worker")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in OURS


def _message(record: logging.LogRecord) -> str:
    """Of other people's loggers only the constant part is kept: what they fill in may be an address."""
    return record.getMessage() if _is_ours(record) else str(record.msg)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Our own fields, and of an exception its class and its place; its text may hold anything."""
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD} if _is_ours(record) else {}
    if record.exc_info and record.exc_info[0] is not None:
        fields["exception"] = record.exc_info[0].__name__
        trace = record.exc_info[2]
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            fields["raised_at"] = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return fields


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": _message(record), **_fields(record)}
        return json.dumps(line, default=str, ensure_ascii=False)


class _WorkerLines(logging.Formatter):
    """The message and, as JSON behind it, the fields: the Functions worker sends the host the formatted text, level and logger, and no more."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; the platform's own as they are."""
        if record.name.startswith(_PLATFORM):
            return super().format(record)
        fields = _fields(record)
        return f"{_message(record)} {json.dumps(fields, default=str, ensure_ascii=False)}" if fields else _message(record)


_WORKER_LINES = _WorkerLines()


def _worth_a_line(record: logging.LogRecord) -> bool:
    """The worker lets everything through from INFO on; at INFO other people's libraries log the address of every call."""
    return record.levelno >= logging.WARNING or _is_ours(record) or record.name.startswith(_PLATFORM)


def log_through_the_worker() -> None:
    """Let the handlers that the Functions worker put on the root logger write our fields too. May be called again."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_WORKER_LINES)
        handler.addFilter(_worth_a_line)
