"""What every message queue promises its senders."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from joinery.engine.ports import Outgoing

if TYPE_CHECKING:
    from conftest import QueueUnderTest


def message(body: bytes, session: str = "t|ada", not_before: datetime | None = None) -> Outgoing:
    return Outgoing(body=body, session_id=session, not_before=not_before)


def test_messages_of_one_session_come_in_the_order_of_sending(sending: QueueUnderTest) -> None:
    sending.queue.send([message(b"1"), message(b"2", session="t|bob"), message(b"3")])
    sending.queue.send([message(b"4")])
    assert sending.receive_due() == {"t|ada": [b"1", b"3", b"4"], "t|bob": [b"2"]}


def test_two_messages_with_the_same_content_are_two_messages(sending: QueueUnderTest) -> None:
    sending.queue.send([message(b"look"), message(b"look")])
    sending.queue.send([message(b"look")])
    assert sending.receive_due() == {"t|ada": [b"look"] * 3}


def test_a_message_for_later_is_not_received_before_its_moment(sending: QueueUnderTest) -> None:
    sending.queue.send([message(b"later", not_before=sending.clock.now() + timedelta(days=90))])
    sending.clock.advance(days=90, seconds=-1)
    assert sending.receive_due() == {}
    sending.clock.advance(seconds=1)
    assert sending.receive_due() == {"t|ada": [b"later"]}
    assert sending.receive_due() == {}


def test_a_message_that_falls_due_queues_behind_what_was_sent_before_that_moment(sending: QueueUnderTest) -> None:
    sending.queue.send([message(b"later", not_before=sending.clock.now() + timedelta(seconds=30)), message(b"now")])
    sending.clock.advance(seconds=10)
    sending.queue.send([message(b"meanwhile")])
    sending.clock.advance(seconds=30)
    sending.queue.send([message(b"after")])
    assert sending.receive_due() == {"t|ada": [b"now", b"meanwhile", b"later", b"after"]}


def test_a_moment_in_the_past_is_at_once(sending: QueueUnderTest) -> None:
    sending.queue.send([message(b"late", not_before=sending.clock.now() - timedelta(days=1))])
    assert sending.receive_due() == {"t|ada": [b"late"]}


def test_what_is_to_be_handled_now_is_counted_apart_from_what_is_for_later(sending: QueueUnderTest) -> None:
    if not sending.counts:
        assert (sending.queue.waiting(), sending.queue.scheduled()) == (None, None)
        return
    assert (sending.queue.waiting(), sending.queue.scheduled()) == (0, 0)
    sending.queue.send([message(b"now"), message(b"later", not_before=sending.clock.now() + timedelta(hours=1))])
    assert (sending.queue.waiting(), sending.queue.scheduled()) == (1, 1)
    sending.receive_due()
    assert (sending.queue.waiting(), sending.queue.scheduled()) == (0, 1)
    sending.clock.advance(hours=1)
    assert (sending.queue.waiting(), sending.queue.scheduled()) == (1, 0)


def test_sending_nothing_is_fine(sending: QueueUnderTest) -> None:
    sending.queue.send([])
    assert sending.receive_due() == {}


@pytest.mark.parametrize(
    "broken",
    [
        Outgoing(body=b"x", session_id=""),
        Outgoing(body=b"x", session_id="s" * 129),
        Outgoing(body=b"x", session_id="s", not_before=datetime(2026, 1, 5)),  # noqa: DTZ001 — without a zone on purpose
    ],
)
def test_one_message_that_breaks_a_rule_keeps_its_whole_batch_out(sending: QueueUnderTest, broken: Outgoing) -> None:
    with pytest.raises(ValueError, match=r"session id|time zone"):
        sending.queue.send([message(b"good"), broken])
    assert sending.receive_due() == {}
