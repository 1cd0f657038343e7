"""The table of Halo's answers: complete, and what each becomes."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from adapters.halo.answers import BY_EXCEPTION, BY_STATUS, TEXT_LIMIT, from_exception, from_status, retry_after, useful_text
from joinery.errors import OutcomeUnknown, Refused, TryLater

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def answer(status: int, body: str | bytes = b"", **headers: str) -> httpx.Response:
    return httpx.Response(status, content=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_every_exception_of_httpx_is_in_the_table() -> None:
    family = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict)
    known = {cls for _, cls in inspect.getmembers(httpx, inspect.isclass) if issubclass(cls, family)}
    leaves = {cls for cls in known if not any(other is not cls and issubclass(other, cls) for other in known)}
    assert leaves, "httpx has moved its exceptions"
    assert leaves - set(BY_EXCEPTION) == set()


@pytest.mark.parametrize(
    ("status", "read", "write"),
    [
        (302, Refused, Refused),
        (307, Refused, Refused),
        (400, Refused, Refused),
        (401, Refused, Refused),
        (403, Refused, Refused),
        (404, Refused, Refused),
        (408, TryLater, OutcomeUnknown),
        (409, Refused, Refused),
        (415, Refused, Refused),
        (429, TryLater, TryLater),
        (500, TryLater, OutcomeUnknown),
        (502, TryLater, OutcomeUnknown),
        (503, TryLater, OutcomeUnknown),
        (504, TryLater, OutcomeUnknown),
        (599, TryLater, OutcomeUnknown),
    ],
)
def test_a_status_becomes_what_the_reader_and_the_writer_have_to_do_next(status: int, read: type, write: type) -> None:
    assert isinstance(from_status(answer(status), "GET /Tickets", write=False, now=NOW), read)
    assert isinstance(from_status(answer(status), "POST /Tickets", write=True, now=NOW), write)


def test_every_hundred_of_statuses_has_a_verdict() -> None:
    assert {3, 4, 5} <= set(BY_STATUS)


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")])
def test_what_was_never_sent_can_be_sent_again(error: Exception) -> None:
    assert isinstance(from_exception(error, "POST /Tickets", write=True), TryLater)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout("x"),
        httpx.WriteTimeout("x"),
        httpx.ReadError("x"),
        httpx.WriteError("x"),
        httpx.RemoteProtocolError("x"),
        httpx.DecodingError("x"),
    ],
)
def test_what_was_sent_and_lost_has_an_unknown_outcome_for_a_write_only(error: Exception) -> None:
    assert isinstance(from_exception(error, "POST /Tickets", write=True), OutcomeUnknown)
    assert isinstance(from_exception(error, "GET /Tickets", write=False), TryLater)


def test_an_exception_that_a_later_httpx_adds_is_unclear_rather_than_safe() -> None:
    class NewTrouble(httpx.TransportError):
        pass

    assert isinstance(from_exception(NewTrouble("x"), "POST /Tickets", write=True), OutcomeUnknown)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("2", timedelta(seconds=2)),
        ("2.128", timedelta(seconds=2.128)),
        ("0", timedelta(0)),
        ("-5", timedelta(0)),
        ("86400", timedelta(minutes=10)),
        ("Mon, 23 Nov 2026 09:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 23 Nov 2026 08:00:00 GMT", timedelta(0)),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_capped(header: str | None, expected: timedelta | None) -> None:
    assert retry_after(header, NOW) == expected


def test_a_429_carries_the_pause_that_the_desk_asked_for() -> None:
    error = from_status(answer(429, retry_after="7"), "POST /Tickets", write=True, now=NOW)
    assert isinstance(error, TryLater)
    assert error.after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"ClassName":"System.Exception","Message":"Please enter a site","HResult":-2146233088}', "Please enter a site"),
        ('{"Message":"no"}', "no"),
        ('{"resultCode":3,"errorMessage":"closed"}', "closed"),
        ('{"error":"invalid_scope","error_description":"read:users"}', "invalid_scope; read:users"),
        ('{"[0].outcome_id":["Not a number."]}', "[0].outcome_id: Not a number."),
        ('{"title":"One or more errors","errors":{"id":["The value is not valid."]}}', "One or more errors; id: The value is not valid."),
        ('"just text"', "just text"),
        ("plain\r\n\u202etext", "plain text"),
        ("<html><body>Bad gateway</body></html>", "an HTML page"),
        ("", ""),
        ("[" * 100_000, "[" * (TEXT_LIMIT - 1) + "…"),
    ],
)
def test_the_useful_text_is_found_in_every_shape_of_body(body: str, said: str) -> None:
    assert useful_text(answer(400, body)) == said


def test_a_text_is_cut_and_a_body_that_is_no_text_does_no_harm() -> None:
    assert len(useful_text(answer(400, '"' + "x" * 100_000 + '"'))) == TEXT_LIMIT
    assert isinstance(useful_text(answer(400, b"\xff\xfe\x00\x80")), str)
