"""How Halo's JSON is read, and how our texts are written into it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.halo import wire
from adapters.halo.client import HaloClient
from adapters.system import SystemClock
from joinery.errors import Refused, TryLater


def client_for(answers: list[Any]) -> tuple[HaloClient, list[httpx.Request]]:
    """A client whose lists are answered in turn, the last for ever."""
    calls: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 3600})
        calls.append(request)
        return httpx.Response(200, json=answers[min(len(calls), len(answers)) - 1])

    transport = httpx.MockTransport(answer)
    return HaloClient("http://halo.test/api", "http://halo.test/auth", "joinery", "local", transport=transport, clock=SystemClock()), calls


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [{"id": number} for number in range(first, last + 1)]


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ([{"id": 1}], [1]),
        ({"record_count": 1, "tickets": [{"id": 1}]}, [1]),
        ({"record_count": 1, "results": [{"id": 1}]}, [1]),
        ({"columns": ["a"], "record_count": 1, "tickets": [{"id": 1}]}, [1]),
        ({"record_count": 0, "tickets": []}, []),
        ({"record_count": 0}, []),
        ({"record_count": 0, "tickets": None}, []),
        ([], []),
        ([None, 3, {"id": 2}], [2]),
    ],
)
def test_a_list_is_read_in_every_envelope(body: Any, ids: list[int]) -> None:
    assert [row["id"] for row in wire.rows_of(body, "/Tickets")] == ids


@pytest.mark.parametrize("body", [None, "text", 3, {"error": "no"}, {}])
def test_what_is_no_list_is_not_an_empty_list(body: Any) -> None:
    with pytest.raises(TryLater):
        wire.rows_of(body, "/Tickets")


def test_pages_are_read_to_the_end() -> None:
    client, calls = client_for([{"record_count": 150, "users": rows(1, 100)}, {"record_count": 150, "users": rows(101, 150)}])
    assert len(wire.every(client, "/Users", {})) == 150
    assert [call.url.params["page_no"] for call in calls] == ["1", "2"]
    assert calls[0].url.params["pageinate"] == "true"


@pytest.mark.parametrize("count", [0, 1, 100, None])
def test_a_wrong_record_count_hides_nobody(count: int | None) -> None:
    client, _ = client_for(
        [
            {"record_count": count, "users": rows(1, 100)},
            {"record_count": count, "users": rows(101, 130)},
            {"record_count": count, "users": []},
        ]
    )
    assert len(wire.every(client, "/Users", {})) == 130


def test_a_record_count_that_is_too_high_ends_too() -> None:
    client, calls = client_for([{"record_count": 500, "users": rows(1, 20)}, {"record_count": 500, "users": []}])
    assert len(wire.every(client, "/Users", {})) == 20
    assert len(calls) == 2


def test_a_list_that_answers_every_page_with_the_first_is_asked_for_its_whole_count() -> None:
    page = {"record_count": 150, "users": rows(1, 100)}
    client, calls = client_for([page, page, {"record_count": 150, "users": rows(1, 150)}])
    assert len(wire.every(client, "/Users", {})) == 150
    assert calls[-1].url.params["count"] == "150"


def test_a_bare_list_that_knows_no_pages_ends_and_shows_each_row_once() -> None:
    client, calls = client_for([rows(1, 130)])
    assert len(wire.every(client, "/Users", {})) == 130
    assert len(calls) == 2


def test_a_list_without_end_is_refused_instead_of_read_in_part() -> None:
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(200, json={"access_token": "t"})
        asked.append(1)
        return httpx.Response(200, json=rows(len(asked) * 100, len(asked) * 100 + 99))

    client = HaloClient("http://h.test/api", "http://h.test/auth", "a", "b", transport=httpx.MockTransport(answer), clock=SystemClock())
    with pytest.raises(Refused):
        wire.every(client, "/Users", {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (18, 18),
        (18.0, 18),
        ("18", 18),
        (18.5, None),
        ("18.0", None),
        ("", None),
        ("x", None),
        (None, None),
        (True, None),
        ([], None),
        ("١٨", None),
    ],
)
def test_ids_come_in_several_spellings(value: Any, expected: int | None) -> None:
    assert wire.number(value) == expected


@pytest.mark.parametrize("bad", ["", "0", "-1", "12/../13", "12?x=1", "abc", "9" * 40])
def test_an_id_of_ours_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(Refused):
        wire.object_id(bad, "ticket")


def test_a_line_has_no_breaks_and_no_signs_that_turn_the_text() -> None:
    assert wire.line("Alex\r\nBcc: everyone\x00\u202egnp.exe\ud800 ") == "Alex Bcc: everyone gnp.exe"
    assert wire.line("نورة\u200cخانم") == "نورة\u200cخانم"
    assert len(wire.line("x" * 70_000)) == wire.LINE_LIMIT


def test_paragraphs_show_a_text_literally() -> None:
    assert (
        wire.paragraphs("Hi <script>alert(1)</script>\r\n& bye\n\nnext")
        == "<p>Hi &lt;script&gt;alert(1)&lt;/script&gt;<br>&amp; bye</p><p>next</p>"
    )


@given(st.text())
def test_no_text_opens_a_tag_or_breaks_the_encoding(words: str) -> None:
    shown = wire.paragraphs(words).replace("<p>", "").replace("</p>", "").replace("<br>", "")
    assert "<" not in shown
    assert ">" not in shown
    shown.encode()
    wire.line(words).encode()
    assert len(wire.line(words)) <= wire.LINE_LIMIT
    assert "\n" not in wire.line(words)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-23T09:58:12", "2026-11-23T09:58:12+00:00"),
        ("2026-11-23T09:58:12.1234567", "2026-11-23T09:58:12.123456+00:00"),
        ("2026-11-23T09:58:12Z", "2026-11-23T09:58:12+00:00"),
        ("2026-11-23T11:58:12+02:00", "2026-11-23T09:58:12+00:00"),
        ("0001-01-01T00:00:00", None),
        ("1899-12-30T00:00:00", None),
        ("1900-01-01T00:00:00", None),
        ("1901-01-01T00:00:00", None),
        ("", None),
        ("soon", None),
        (None, None),
        (12, None),
    ],
)
def test_a_date_is_utc_and_the_sentinels_for_unset_are_none(written: Any, read: str | None) -> None:
    moment = wire.moment({"at": written}, "at")
    assert (moment.isoformat() if moment else None) == read
