"""What the stories about people share: somebody with a name worth protecting, and what must be true at every end."""

from __future__ import annotations

from collections import Counter
from typing import Any

from joinery.domain.person import Manager, Person
from joinery.engine import codec
from joinery.engine.audit import first_break
from joinery.engine.journal import RunStatus
from joinery.engine.partition import OPEN_RUNS
from joinery.testing import World, person

JOINERS = "ITSM-NewJoiner"
#: Texts that belong to a person, and nowhere in the audit, in a reason or in a log.
PRIVATE = ("Lovelace", "lovelace@", "Babbage", "babbage@")


def ada(**fields: Any) -> Person:
    """A joiner with a manager."""
    plain: dict[str, Any] = {
        "display_name": "Ada Lovelace",
        "mail": "lovelace@contoso.example",
        "user_principal_name": "lovelace@contoso.example",
        "manager": Manager(id="bob", display_name="Charles Babbage", mail="babbage@contoso.example"),
        "groups": (JOINERS,),
    }
    return person("ada", **{**plain, **fields})


def joined(world: World, minutes: float = 20) -> World:
    """Ada has joined, and everything about it is done."""
    world.put(ada())
    world.look("ada")
    world.pass_time(minutes=minutes)
    return world


def tickets(world: World, kind: str) -> list[str]:
    """Ids of the tickets of one kind."""
    return [ticket.id for ticket in world.desk.tickets if ticket.kind == kind]


def alerts(world: World, person_id: str = "ada") -> list[str]:
    """The sentence of every alert."""
    return [line.record.why for line in world.audit(person_id) if line.record.action == "alert"]


def statuses(world: World) -> list[tuple[str, str]]:
    """Workflow and status of every run, in the order in which they started."""
    return [(view.run.workflow, str(view.run.status)) for view in world.runs()]


def end_state(world: World) -> dict[str, Any]:
    """What the desk looks like, without ids."""
    by_id = {user.id: user.directory_id for user in world.desk.users}
    return {
        "users": sorted((user.directory_id, user.active) for user in world.desk.users),
        "tickets": sorted((ticket.kind, by_id.get(ticket.user_id or "", "")) for ticket in world.desk.tickets),
        "notes": sorted(Counter(note.ticket_id for note in world.desk.notes).values()),
        "agents": sorted((agent.address, agent.enabled, agent.roles) for agent in world.desk.agents),
        "runs": sorted(statuses(world)),
    }


def assert_sound(world: World) -> None:
    """Nothing is stuck, doubled, dangling or told to the wrong readers."""
    keys = Counter(ticket.key for ticket in world.desk.tickets if ticket.key)
    assert all(count == 1 for count in keys.values()), keys
    notes = Counter((note.ticket_id, note.key) for note in world.desk.notes)
    assert all(count == 1 for count in notes.values()), notes
    assert_chains_sound(world)
    listed = [view.run.id for view in world.runs()]
    assert len(listed) == len(set(listed)), listed
    open_runs = [view for view in world.runs() if view.run.closed_at is None]
    assert not open_runs, [(view.run.id, view.run.status, view.run.waiting_for) for view in open_runs]
    assert not world.store.list_index(OPEN_RUNS)
    assert not world.app.parking.listed()


def assert_chains_sound(world: World) -> None:
    """Every partition's chain holds to its head, and says nothing about a person but ids."""
    for partition in world.store.partitions():
        records = [line.record for line in world.app.reads.audit(partition)]
        assert first_break(records) is None
        head = world.store.read(partition).head or {}
        assert (head["audit_seq"], head["audit_hash"]) == (len(records), records[-1].hash if records else "")
        for record in records:
            told = codec.to_bytes(codec.to_document(record)).decode()
            assert not any(private in told for private in PRIVATE), told


def assert_all_ended_well(world: World) -> None:
    """Sound, and every run verified or superseded."""
    assert_sound(world)
    assert {view.run.status for view in world.runs()} <= {RunStatus.VERIFIED, RunStatus.SUPERSEDED}
