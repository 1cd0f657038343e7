"""The process, or the wire, ends at any request to the Table service: the end is the same, and nothing is left behind or done twice."""

from __future__ import annotations

import os

import pytest
from crashes import Crash, CrashingWorld, Plan
from table_service import LOST_REQUEST, LOST_RESPONSE, Azurite, Fault, Wire, tables_in
from test_crashes import PERSON, assert_nothing_left_behind, joins_and_leaves, state

from adapters.stores.tables import TableStateStore
from joinery.engine.envelope import EnvelopeKind
from joinery.engine.partition import DUE, OPEN_RUNS

pytestmark = pytest.mark.servers

FAULTS = {
    "crash before": Fault(instead=Crash("before")),
    "crash after": Fault(then=Crash("after")),
    "lost request": LOST_REQUEST,
    "lost response": LOST_RESPONSE,
}
#: Every so-manieth request; each of them in a campaign. The four kinds begin at different ones.
STEP = 1 if os.environ.get("JOINERY_CAMPAIGN") else 17


class TablesWorld(CrashingWorld):
    """A World whose state is in a table; requests to it may be the last of their process."""

    #: A tick is fifteen requests, and seventy of them would be most of the story.
    minutes_from_tick_to_tick = 5

    def __init__(self, store: TableStateStore) -> None:
        super().__init__(Plan())
        self.store = store
        self.restart()


def told(azurite: Azurite, faults: dict[int, Fault]) -> tuple[TablesWorld, Wire]:
    """A joiner and a leaver on a new table, through these faults."""
    wire = Wire()
    store = tables_in(azurite.connection, azurite.new_table(), wire=wire)
    world = TablesWorld(store)
    store.open()
    wire.plan(faults)
    joins_and_leaves(world)
    return world, wire


@pytest.mark.parametrize("kind", sorted(FAULTS))
@pytest.mark.timeout(1800 if STEP == 1 else 240)
def test_a_joiner_and_a_leaver_survive_the_end_of_any_request(azurite: Azurite, kind: str) -> None:
    whole, wire = told(azurite, {})
    writes = [number for number, sent in enumerate(wire.sent, 1) if not sent.startswith("GET")]
    reads = [number for number, sent in enumerate(wire.sent, 1) if sent.startswith("GET")]
    assert len(writes) >= 40
    expected = state(whole)
    assert [status for _, status in expected["runs"]] == ["verified", "verified"]  # type: ignore[attr-defined]
    for number in [*writes, *reads[::9]][sorted(FAULTS).index(kind) * 3 :: STEP]:
        world, wire = told(azurite, {number: FAULTS[kind]})
        assert wire.met, number
        assert state(world) == expected, number
        assert_nothing_left_behind(world)


def test_an_index_row_whose_commit_never_came_is_harmless_and_swept(azurite: Azurite) -> None:
    """Index rows are written first. Here the process ends after the last of them, and nobody ever sends the message again."""
    world, wire = told(azurite, {})
    first_commit = next(number for number, sent in enumerate(wire.sent, 1) if sent.endswith("$batch"))
    before = Wire()
    world = TablesWorld(tables_in(azurite.connection, azurite.new_table(), wire=before))
    world.store.open()
    before.plan({first_commit: FAULTS["crash before"]})
    world.put(PERSON)
    world.queue_up("person:ada", EnvelopeKind.LOOK)
    (message,) = world.queue.receive_due()
    with pytest.raises(Crash):
        world.app.handle(message.body)
    world.restart()
    assert any(row.name.endswith("|local|person:ada") for row in world.store.list_index(DUE))
    assert list(world.app.reads.people()) == [] and list(world.app.reads.runs()) == []
    world.minutes(5)
    assert not world.store.list_index(DUE)
    assert not world.store.list_index(OPEN_RUNS)
    assert world.desk.tickets == []
