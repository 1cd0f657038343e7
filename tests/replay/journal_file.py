"""A stored journal: everything that one story ever wrote, commit by commit, with the desk as it was after each; and the world again
as it stood after any of them.

A file holds one JSON object:

``runs``     the runs of the story at its end: ``{"id", "workflow", "version", "status"}``
``first``    the first prefix that is to be gone on with; the ones before it belong to another story
``looks``    who gets a look once the world is there again, as a notification that comes twice would bring it
``commits``  ``{"at", "writes", "desk", "people", "sent"}`` each: when it was, everything written since the one before and the commit itself
             last, which entry of ``desks`` and of ``people`` was true right after it, and how many messages had been sent by then
``desks``    users, tickets, agents and notes
``people``   the people in the directory
``sent``     the messages: body, session, and from when on it may be received or null
``end``      the desk at the end, as ``desk_at_the_end`` tells it
``again``    what stands in several places, once; ``{"@": n}`` stands there instead
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from joinery.domain.moments import from_text
from joinery.domain.person import Person
from joinery.domain.policy import CutOffPolicy, DeskPolicy, Policy, TicketPolicy
from joinery.engine import codec
from joinery.engine.memory import MemoryStateStore
from joinery.engine.memory_desk import MemoryServiceDesk
from joinery.engine.memory_desk_things import DeskAgent, DeskNote, DeskTicket, DeskUser
from joinery.engine.ports import Commit, Document, Outgoing, Row
from joinery.engine.recipes import Catalogue
from joinery.testing import World, everyone

STORED = Path(__file__).parent / "stored"
#: What stands for a value that stands elsewhere, and how many characters make that worth while.
_AGAIN, _LONG = "@", 60


def policy() -> Policy:
    """Every workflow acts, an alert opens a ticket, and whoever leaves is cut off in the directory."""
    tickets = {**DeskPolicy().tickets, "alert": TicketPolicy(ticket_type="Incident", team="Service Desk")}
    cut_off = CutOffPolicy(revoke_sessions=True, remove_from_groups=True)
    return replace(everyone(), desk=DeskPolicy(tickets=tickets), cut_off=cut_off)


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """What a file holds."""

    name: str
    runs: list[Document]
    first: int
    looks: list[str]
    commits: list[Document]
    desks: list[Document]
    people: list[list[Document]]
    sent: list[tuple[str, str, str | None]]
    end: Document

    @classmethod
    def read(cls, path: Path) -> Journal:
        """From its file."""
        document = json.loads(path.read_text(encoding="utf-8"))
        again: list[Any] = []
        for one in document.pop("again"):
            again.append(_unfolded(one, again))
        return cls(name=path.stem, **{key: _unfolded(value, again) for key, value in document.items()})

    def write(self, path: Path) -> None:
        """One line per commit, so that a reader can find it and a difference can be read."""
        document = {key: value for key, value in asdict(self).items() if key != "name"}
        seen: Counter[str] = Counter()
        _count(document, seen)
        places: dict[str, int] = {}
        again: list[str] = []
        folded = {key: _folded(value, seen, places, again) for key, value in document.items()}
        lines = []
        for key, value in {"again": [json.loads(one) for one in again], **folded}.items():
            if key in ("again", "commits", "desks", "people", "sent"):
                rows = ",\n".join(_compact(row) for row in value)
                lines.append(f'"{key}":[\n{rows}\n]')
            else:
                lines.append(f'"{key}":{_compact(value)}')
        path.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")

    def begun(self, prefix: int) -> set[str]:
        """Ids of the runs that the first ``prefix`` commits hold."""
        rows = (row for commit in self.commits[:prefix] for kind, *write in commit["writes"] if kind == "commit" for row in write[2])
        return {data["id"] for name, data in rows if name.startswith("run.") and name.count(".") == 1}

    def world(self, prefix: int, *, catalogue: Catalogue | None = None) -> World:
        """A new process over what the first ``prefix`` commits left behind. Every message sent by then comes, or comes again."""
        store = MemoryStateStore()
        for number, commit in enumerate(self.commits[:prefix]):
            for kind, *write in commit["writes"]:
                _WRITES[kind](store, f"stored-{number}", *write)
        # With other chance than the recording had: no commit id comes twice.
        world = World(policy(), store=store, catalogue=catalogue, seed=prefix + 1000)
        after = self.commits[max(prefix - 1, 0)]
        world.clock.set(from_text(after["at"]))
        if prefix:
            _furnish(world.desk, self.desks[after["desk"]])
        # The directory as the next commit found it: what the story is about may have happened right after the last one.
        for one in self.people[self.commits[min(prefix, len(self.commits) - 1)]["people"]]:
            world.put(codec.from_document(one, Person))
        world.queue.send(
            Outgoing(body=body.encode(), session_id=session, not_before=from_text(not_before) if not_before else None)
            for body, session, not_before in self.sent[: after["sent"] if prefix else 0]
        )
        return world


def desk_at_the_end(world: World) -> Document:
    """Everything people can see, in words of its own: a changed word in a ticket is a difference."""
    directory_ids = {user.id: user.directory_id for user in world.desk.users}
    summaries = {ticket.id: ticket.key for ticket in world.desk.tickets}
    return {
        "users": sorted([user.directory_id, user.name, user.address, user.active] for user in world.desk.users),
        "agents": sorted([agent.address, agent.enabled, list(agent.roles)] for agent in world.desk.agents),
        "tickets": sorted(
            [
                ticket.key,
                ticket.kind,
                ticket.summary,
                ticket.details,
                directory_ids.get(ticket.user_id or "", ""),
                [[task.text, task.owner, task.when] for task in ticket.to_do],
            ]
            for ticket in world.desk.tickets
        ),
        "notes": sorted([summaries[note.ticket_id], note.key, note.text] for note in world.desk.notes),
    }


def runs_at_the_end(world: World) -> list[Document]:
    """How every run ended, in the order in which they began."""
    runs = (view.run for view in world.runs())
    return [{"id": run.id, "workflow": run.workflow, "version": run.version, "status": str(run.status)} for run in runs]


def desk_now(desk: MemoryServiceDesk) -> Document:
    """The desk as JSON, to be furnished again."""
    things = {"users": desk.users, "tickets": desk.tickets, "agents": desk.agents, "notes": desk.notes}
    return {kind: [codec.to_document(thing) for thing in found] for kind, found in things.items()}


def _furnish(desk: MemoryServiceDesk, document: Document) -> None:
    tables: dict[str, type] = {"users": DeskUser, "tickets": DeskTicket, "agents": DeskAgent, "notes": DeskNote}
    found: dict[str, list[Any]] = {kind: msgspec.convert(document[kind], list[cls], strict=False) for kind, cls in tables.items()}
    taken = [int(thing.id) for kind, things in found.items() if kind != "notes" for thing in things]
    while taken and int(desk.put_user().id) < max(taken):
        # Ids are given in their order, and none of those in the file may be given again.
        pass
    desk.users, desk.tickets, desk.agents, desk.notes = (found[kind] for kind in tables)


def _commit(store: MemoryStateStore, identity: str, partition: str, head: Document, put: list[Any], delete: list[str]) -> None:
    rows = tuple(Row(name=name, data=data) for name, data in put)
    store.commit(
        Commit(partition=partition, expected=store.read(partition).etag, commit_id=identity, head=head, put=rows, delete=tuple(delete))
    )


def _share(store: MemoryStateStore, _: str, name: str, data: Document) -> None:
    store.replace_shared(name, data, expected=store.read_shared(name)[0])


#: Kind of write -> how it is made again, with the id of its commit and what the file says.
_WRITES: dict[str, Callable[..., object]] = {
    "commit": _commit,
    "shared": _share,
    "index": lambda store, _, index, key, data: store.put_index(index, key, data),
    "unindex": lambda store, _, index, key: store.delete_index(index, key),
}


def _count(value: Any, seen: Counter[str]) -> None:
    if isinstance(value, (dict, list)):
        seen[_compact(value)] += 1
        for inner in value.values() if isinstance(value, dict) else value:
            _count(inner, seen)


def _folded(value: Any, seen: Counter[str], places: dict[str, int], again: list[str]) -> Any:
    """The value with a reference wherever something long stands that stands elsewhere too."""
    if not isinstance(value, (dict, list)):
        return value
    text = _compact(value)
    if text in places:
        return {_AGAIN: places[text]}
    if isinstance(value, dict):
        folded: Any = {key: _folded(inner, seen, places, again) for key, inner in value.items()}
    else:
        folded = [_folded(inner, seen, places, again) for inner in value]
    if seen[text] < 2 or len(text) < _LONG:
        return folded
    again.append(_compact(folded))
    places[text] = len(again) - 1
    return {_AGAIN: places[text]}


def _unfolded(value: Any, again: list[Any]) -> Any:
    if isinstance(value, list):
        return [_unfolded(inner, again) for inner in value]
    if isinstance(value, dict):
        return again[value[_AGAIN]] if value.keys() == {_AGAIN} else {key: _unfolded(inner, again) for key, inner in value.items()}
    return value


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
