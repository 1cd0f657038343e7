"""The pretend Service Bus on the wire: what is no AMQP, what a hostile client sends, and a queue that cannot write. It stands through all of it."""

from __future__ import annotations

import contextlib
import random
import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError
from hypothesis import given
from hypothesis import strategies as st

from adapters.queues.messages import MessageState, QueueMessage
from adapters.system import SystemClock
from simulators.service_bus import frames
from simulators.service_bus.entities import Namespace
from simulators.service_bus.messages import BATCH_FORMAT, DATA, content_of, incoming, outgoing, section, unpacked
from simulators.service_bus.server import ServiceBus
from simulators.service_bus.values import (
    Array,
    Byte,
    Described,
    Int,
    Malformed,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
    decode,
    encode,
)

whole = st.integers(-(2**63), 2**63 - 1)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    whole,
    st.floats(allow_nan=False),
    st.text(max_size=300),
    st.binary(max_size=300),
    st.uuids(),
    st.integers(0, 255).map(UByte),
    st.integers(-128, 127).map(Byte),
    st.integers(0, 2**16 - 1).map(UShort),
    st.integers(-(2**15), 2**15 - 1).map(Short),
    st.integers(0, 2**32 - 1).map(UInt),
    st.integers(-(2**31), 2**31 - 1).map(Int),
    st.integers(0, 2**64 - 1).map(ULong),
    whole.map(Timestamp),
    st.text("abc:-", min_size=1).map(Symbol),
    st.lists(whole, max_size=5).map(Array),
    st.lists(st.uuids(), min_size=1, max_size=3).map(Array),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.text(max_size=9), inner, max_size=5),
        inner.map(lambda one: Described(ULong(1), one)),
    ),
    max_leaves=20,
)


def kinds(value: Any) -> Any:
    """A value with the type of everything in it: 1, True and UInt(1) are equal, and not the same."""
    if isinstance(value, Described):
        return "described", kinds(value.descriptor), kinds(value.value)
    if isinstance(value, dict):
        return "map", [(kinds(key), kinds(one)) for key, one in value.items()]
    return (type(value), [kinds(one) for one in value]) if isinstance(value, list) else (type(value), value)


@given(values)
def test_every_value_comes_back_as_what_it_was(value: Any) -> None:
    encoded = encode(value)
    found, end = decode(encoded)
    assert end == len(encoded)
    assert kinds(found) == kinds(value)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_value_are_malformed_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        decode(data)


def test_a_list_in_a_list_in_a_list_ends_as_malformed() -> None:
    with pytest.raises(Malformed):
        decode(b"\x00" * 100_000)


@given(st.binary(max_size=300))
def test_a_message_that_is_none_is_malformed_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        incoming(data)


def test_a_message_keeps_every_section_and_an_envelope_holds_whole_messages() -> None:
    properties = ["id-1", None, None, "subject", None, None, None, None, None, None, "ada"]
    one = b"".join(
        [
            section(0x72, {Symbol("x-of-theirs"): "kept"}),
            section(0x73, properties),
            section(0x74, {"n": Int(3)}),
            section(DATA, b"{}"),
            section(0x78, {Symbol("x-foot"): 1}),
        ]
    )
    envelope = section(0x73, properties) + section(DATA, one) + section(DATA, one)
    assert unpacked(envelope, BATCH_FORMAT) == [one, one]
    taken = incoming(one)
    assert (taken.message_id, taken.session_id, content_of(taken.body)) == ("id-1", "ada", b"{}")
    now = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
    kept = QueueMessage(
        sequence_number=7, message_id="id-1", session_id="ada", body=taken.body, properties={}, state=MessageState.DEAD, enqueued_at=now,
        dead_letter_reason="Broken",
    )  # fmt: skip
    told = outgoing(kept, locked=False)
    for piece in (section(0x73, properties), section(DATA, b"{}"), section(0x78, {Symbol("x-foot"): 1})):
        assert piece in told
    again = incoming(told)
    assert content_of(again.body) == b"{}"
    assert encode("DeadLetterReason") in told
    assert encode(Symbol("x-of-theirs")) + encode("kept") in told


# --- the server ---


@pytest.fixture(scope="module")
def bus() -> Iterator[ServiceBus]:
    made = ServiceBus(Namespace({"queues": {"people": {"requires_session": True}, "spare": {}}}, SystemClock())).start()
    yield made
    made.close()


def works(bus: ServiceBus) -> bool:
    """Whether a client of the vendor's can still send."""
    with (
        ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0) as client,
        client.get_queue_sender("people") as sender,
    ):
        sender.send_messages(ServiceBusMessage("still here", session_id=uuid.uuid4().hex))
    return True


def opening(*more: bytes) -> bytes:
    begin = frames.written(1, frames.Begin(next_outgoing_id=UInt(0), incoming_window=UInt(100), outgoing_window=UInt(100)))
    return frames.AMQP_HEADER + frames.written(0, frames.Open(container_id="x", max_frame_size=UInt(512))) + begin + b"".join(more)


@pytest.mark.servers
def test_whoever_speaks_something_else_is_told_so_and_everybody_else_goes_on(bus: ServiceBus) -> None:
    attach = frames.Attach(name="l", handle=UInt(0), role=False, target=Described(ULong(0x29), ["amqps://h/people"]))
    nonsense = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"AMQP\x00\x00\x09\x01",
        b"\x00\x00\x00\x01\x02\x00\x00\x00",
        b"\xff\xff\xff\xff\x02\x00\x00\x00",
        opening(frames.written(1, frames.Attach())),
        opening(frames.written(1, frames.Attach(name="l", handle="zero", role=False))),
        opening(frames.written(1, attach), frames.written(1, frames.Transfer(handle=UInt(0), delivery_id=None), b"\xff\xff")),
        opening(frames.written(1, attach), frames.written(1, frames.Disposition(role=True, first="a"))),
        opening(frames.written(1, frames.Flow(handle=UInt(9), link_credit="many"))),
        opening(frames.written(1, frames.Attach(name="r", handle=UInt(0), role=True, source=Described(ULong(0x28), [7])))),
    ]
    chance = random.Random(7)
    for _ in range(30):
        whole_thing = bytearray(opening(frames.written(1, attach)))
        whole_thing[chance.randrange(8, len(whole_thing))] = chance.randrange(256)
        nonsense.append(bytes(whole_thing))
    for data in nonsense:
        with socket.create_connection(("127.0.0.1", bus.port), timeout=5) as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(65536):
                pass
    assert works(bus)


@pytest.mark.servers
def test_a_queue_that_cannot_write_refuses_and_leaves_the_others_alone(bus: ServiceBus) -> None:
    bus.ask(bus.namespace.engine("spare").close)
    with ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0) as client:
        with pytest.raises(ServiceBusError), client.get_queue_sender("spare") as sender:
            sender.send_messages(ServiceBusMessage("x"))
        with pytest.raises(ServiceBusError), client.get_queue_receiver("spare") as receiver:
            receiver.receive_messages(1, max_wait_time=1)
            receiver.peek_messages(1)
    assert works(bus)
