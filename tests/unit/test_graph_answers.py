"""Every answer of Graph that the reference lists becomes one of our errors, by one table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from adapters.graph.answers import (
    ANSWERS,
    AlreadyThere,
    Asking,
    Meaning,
    NotThere,
    Passing,
    Throttled,
    answer_for,
    error_for,
    error_text,
    retry_after,
)
from joinery.engine.ports import LinkExpired
from joinery.errors import OutcomeUnknown, Refused, TryLater

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

#: Status and code of every answer that our notes on Graph mention, and what reads and writes make of it.
KNOWN = [
    (400, "Request_BadRequest", Refused, Refused),
    (400, "InvalidRequest", Refused, Refused),
    (400, "ValidationError", TryLater, TryLater),
    (400, "DirectoryResultSizeLimitExceeded", Refused, Refused),
    (400, "syncStateNotFound", TryLater, Refused),
    (400, "resyncRequired", TryLater, Refused),
    (401, "InvalidAuthenticationToken", Refused, Refused),
    (403, "Authorization_RequestDenied", Refused, Refused),
    (403, "", Refused, Refused),
    (404, "Request_ResourceNotFound", NotThere, NotThere),
    (404, "ResourceNotFound", NotThere, NotThere),
    (404, "", TryLater, OutcomeUnknown),
    (409, "", AlreadyThere, AlreadyThere),
    (409, "Conflict", AlreadyThere, AlreadyThere),
    (410, "", TryLater, Refused),
    (424, "FailedDependency", TryLater, TryLater),
    (429, "", Throttled, Throttled),
    (429, "TooManyRequests", Throttled, Throttled),
    (500, "InternalServerError", TryLater, OutcomeUnknown),
    (501, "NotImplemented", Refused, Refused),
    (502, "", Passing, OutcomeUnknown),
    (503, "serviceNotAvailable", Passing, OutcomeUnknown),
    (504, "UnknownError", Passing, OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "code", "read", "written"), KNOWN)
def test_a_known_answer_has_its_error(status: int, code: str, read: type[Exception], written: type[Exception]) -> None:
    assert type(error_for(status, code, "", asking=Asking.READ)) is read
    assert type(error_for(status, code, "", asking=Asking.WRITE)) is written


def test_the_table_knows_every_status_that_the_reference_lists() -> None:
    """A status that falls through to its class only is one that we have not thought about."""
    assert {status for status, *_ in KNOWN} <= {row.status for row in ANSWERS}


def test_no_answer_is_in_the_table_twice() -> None:
    keys = [(row.status, row.code.lower()) for row in ANSWERS]
    assert len(keys) == len(set(keys))


def test_every_meaning_is_used_and_every_row_says_why() -> None:
    assert {row.meaning for row in ANSWERS} == set(Meaning)
    assert all(row.why and "\n" not in row.why for row in ANSWERS)


@pytest.mark.parametrize("asking", list(Asking))
def test_any_status_at_all_becomes_an_error_of_our_family(asking: Asking) -> None:
    for status in range(600):
        error = error_for(status, "SomethingNew", "…", asking=asking)
        assert isinstance(error, TryLater | Refused | OutcomeUnknown | LinkExpired)
        assert not isinstance(error, OutcomeUnknown) or asking is Asking.WRITE
        assert not isinstance(error, LinkExpired) or asking is Asking.LINK


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "syncStateNotFound"),
        (400, "Request_BadRequest"),
        (400, ""),
        (404, "Request_ResourceNotFound"),
        (404, "syncStateNotFound"),
        (410, ""),
    ],
)
def test_a_plain_no_to_a_stored_link_means_start_again(status: int, code: str) -> None:
    assert isinstance(error_for(status, code, "", asking=Asking.LINK), LinkExpired)


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_trouble_on_the_way_does_not_throw_a_stored_link_away(status: int) -> None:
    assert isinstance(error_for(status, "", "", asking=Asking.LINK), (TryLater, Refused))


def test_a_refusal_tells_what_graph_said_in_one_short_line() -> None:
    error = error_for(403, "Authorization_RequestDenied", "Insufficient\nprivileges." + "x" * 500, asking=Asking.READ, call_id="c-1")
    assert "Insufficient privileges." in str(error)
    assert "c-1" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 500


def test_no_secret_gets_into_a_message() -> None:
    error = error_for(400, "secret-7", "clientState secret-7 is odd", asking=Asking.WRITE, hide=("secret-7", ""))
    assert "secret-7" not in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[]", b'{"error": "text"}', b"[" * 100_000, b"null", b'"PGh0bWw+"'])
def test_a_body_that_is_no_odata_error_has_no_code(body: bytes) -> None:
    assert error_text(body) == ("", "")


def test_codes_are_compared_without_case() -> None:
    assert answer_for(404, "request_resourcenotfound").meaning is Meaning.ABSENT


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("7", timedelta(seconds=7)),
        (" 0 ", timedelta(0)),
        ("Mon, 05 Jan 2026 08:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 05 Jan 2026 07:00:00 GMT", timedelta(0)),
        ("999999999999999999999", timedelta(hours=1)),
        ("86400", timedelta(hours=1)),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_over_an_hour(value: str, after: timedelta | None) -> None:
    assert retry_after({"RETRY-AFTER": value}, NOW) == after


def test_an_answer_without_retry_after_names_no_pause() -> None:
    assert retry_after({"request-id": "x"}, NOW) is None
