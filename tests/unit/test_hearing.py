"""What an address answers to anybody: nothing is followed, nothing endless is read, and no error tells an address."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from adapters.webhooks.hearing import PlainHearing
from joinery.engine.memory import FakeClock
from joinery.errors import TryLater

URL = "https://joinery.test/api/desk-events/a-secret"


def hearing(clock: FakeClock, answer: httpx.Response | Exception) -> PlainHearing:
    def send(request: httpx.Request) -> httpx.Response:
        clock.advance(seconds=2)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return PlainHearing(clock, transport=httpx.MockTransport(send))


def test_an_answer_has_its_date_and_how_long_it_took() -> None:
    clock = FakeClock(datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
    heard = hearing(clock, httpx.Response(302, headers={"Date": "Mon, 23 Nov 2026 09:00:01 GMT", "Location": "https://x.test/"})).get(URL)
    assert (heard.status, heard.date) == (302, datetime(2026, 11, 23, 9, 0, 1, tzinfo=UTC))
    assert (heard.sent_at, heard.took) == (datetime(2026, 11, 23, 9, 0, tzinfo=UTC), timedelta(seconds=2))


def test_whoever_answers_a_byte_now_and_then_is_not_listened_to_for_ever() -> None:
    clock = FakeClock()

    class Drips(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(100_000):
                clock.advance(seconds=14)
                yield b"x"

    with pytest.raises(TryLater, match="did not end within 30 s"):
        hearing(clock, httpx.Response(200, stream=Drips())).get(URL)


@pytest.mark.parametrize("header", [None, "", "yesterday", "Mon, 99 Nov 2026 99:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -0100"])
def test_a_date_that_nobody_can_read_is_none(header: str | None) -> None:
    headers = {} if header is None else {"Date": header}
    assert hearing(FakeClock(), httpx.Response(200, headers=headers)).post(URL).date is None


@pytest.mark.parametrize(
    "answer",
    [
        UnicodeError("label too long: joinery..test"),
        httpx.ConnectError(URL),
        httpx.ReadTimeout(URL),
        httpx.Response(200, content=b"x" * (256 * 1024 + 1)),
    ],
    ids=repr,
)
def test_nobody_and_no_end_are_for_later_and_the_address_is_not_told(answer: httpx.Response | Exception) -> None:
    with pytest.raises(TryLater) as error:
        hearing(FakeClock(), answer).get(URL)
    assert "a-secret" not in str(error.value)
