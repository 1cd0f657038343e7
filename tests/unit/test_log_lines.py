"""Log lines carry constant messages, fields with ids, and of an exception no more than its class and place."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from joinery.log_lines import JsonLines, log_through_the_worker

SECRET = "ada@contoso.example"


def record(name: str, message: str, *args: object, level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    return logging.getLogger(name).makeRecord(name, level, __file__, 1, message, args, None, extra=fields)


def failed(name: str) -> logging.LogRecord:
    try:
        raise ValueError(SECRET)
    except ValueError:
        return logging.getLogger(name).makeRecord(name, logging.ERROR, __file__, 1, "it failed", (), sys.exc_info())


@pytest.fixture
def worker() -> Iterator[logging.Handler]:
    """A handler on the root logger, as the Functions worker has it."""
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    untouched = [one for one in logging.getLogger().handlers if one is not handler]
    before = [(one, one.formatter, list(one.filters)) for one in untouched]
    log_through_the_worker()
    log_through_the_worker()
    yield handler
    logging.getLogger().removeHandler(handler)
    for one, formatter, filters in before:
        one.setFormatter(formatter)
        one.filters[:] = filters


def test_a_line_for_the_host_begins_with_the_message_and_ends_with_the_fields(worker: logging.Handler) -> None:
    assert worker.format(record("joinery.app", "put back", action="put_back", attempt=2)) == 'put back {"action": "put_back", "attempt": 2}'
    assert worker.format(record("joinery.app", "nothing beside")) == "nothing beside"


def test_of_an_exception_only_its_class_and_its_place_are_told(worker: logging.Handler) -> None:
    for line in (worker.format(failed("joinery.app")), JsonLines().format(failed("joinery.app"))):
        assert SECRET not in line
        assert '"exception": "ValueError"' in line
        assert '"raised_at": "test_log_lines.py:' in line


def test_of_other_peoples_lines_only_the_constant_part_is_kept(worker: logging.Handler) -> None:
    theirs = record("urllib3", "calling %s", SECRET, level=logging.WARNING, person=SECRET)
    assert worker.format(theirs) == "calling %s"
    assert json.loads(JsonLines().format(theirs))["message"] == "calling %s"


def test_the_platforms_own_lines_stay_as_they_are(worker: logging.Handler) -> None:
    assert worker.format(record("azure.functions", "Function name: %s", "tick")) == "Function name: tick"


def test_what_other_people_log_below_a_warning_does_not_reach_the_host(worker: logging.Handler) -> None:
    """At INFO the SDKs log the address of every call."""
    passes = {
        name: bool(worker.filter(record(name, "x")))
        for name in ("joinery.app", "adapters.graph.client", "workflows", "azure.functions", "azure.core.pipeline", "httpx")
    }
    assert passes == {
        "joinery.app": True,
        "adapters.graph.client": True,
        "workflows": True,
        "azure.functions": True,
        "azure.core.pipeline": False,
        "httpx": False,
    }
    assert worker.filter(record("azure.core.pipeline", "x", level=logging.WARNING))
