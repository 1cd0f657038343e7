"""Record the journals that later releases must still be able to finish.

::

    python -m tests.replay.record            # the stories whose file is not there yet
    python -m tests.replay.record --list     # which files there are to be

A file that is there is never written again: it is what a release really left behind. Whoever gives a recipe a new version records the
stories once more, under the new version's name, and keeps the old files for as long as runs of the old version may be open somewhere.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from joinery.domain.events import AlertRaised, Joined, Left, Moved, Renamed, RolesChanged
from joinery.domain.moments import to_text
from joinery.domain.person import Manager, Person
from joinery.domain.tickets import AddNote, EnsureAgent, OpenTicket, UpdateUser
from joinery.engine import codec
from joinery.engine.memory import MemoryStateStore
from joinery.engine.ports import Commit, Document
from joinery.errors import OutcomeUnknown, Refused
from joinery.testing import World, person
from tests.replay.journal_file import STORED, Journal, desk_at_the_end, desk_now, policy, runs_at_the_end
from workflows import CATALOGUE

CUT = OutcomeUnknown("the connection was lost")


class Recording:
    """A store that writes down what is written, and after each commit what the world looks like."""

    def __init__(self) -> None:
        self._inner = MemoryStateStore()
        self._writes: list[list[Any]] = []
        self.world: World | None = None
        self.people: list[list[Document]] = []
        self.desks: list[Document] = []
        self.commits: list[Document] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put_index(self, index: str, key: str, data: Document) -> None:
        self._inner.put_index(index, key, data)
        self._writes.append(["index", index, key, data])

    def delete_index(self, index: str, key: str) -> None:
        self._inner.delete_index(index, key)
        self._writes.append(["unindex", index, key])

    def replace_shared(self, name: str, data: Document, *, expected: str | None) -> str:
        etag = self._inner.replace_shared(name, data, expected=expected)
        self._writes.append(["shared", name, data])
        return etag

    def commit(self, commit: Commit) -> str:
        etag = self._inner.commit(commit)
        put = [[row.name, row.data] for row in commit.put]
        self._writes.append(["commit", commit.partition, commit.head, put, list(commit.delete)])
        assert self.world is not None
        self.commits.append(
            {
                "at": to_text(self.world.clock.now()),
                "writes": self._writes,
                "desk": _place(self.desks, desk_now(self.world.desk)),
                "people": _place(self.people, [codec.to_document(one) for one in self.told]),
                "sent": len(self.world.queue.sent),
            }
        )
        self._writes = []
        return etag

    #: The people in the directory now, with the display names of their groups.
    told: tuple[Person, ...] = ()


def _place(known: list[Any], now: Any) -> int:
    if not known or known[-1] != now:
        known.append(now)
    return len(known) - 1


@dataclass
class Stage:
    """What a story acts on."""

    recording: Recording = field(default_factory=Recording)
    world: World = field(init=False)
    #: How many commits there were when the part began that is to be gone on with.
    first: int = 0

    def __post_init__(self) -> None:
        self.world = World(policy(), store=self.recording)
        self.recording.world = self.world

    def ada(self, *groups: str, joins: bool = True, **fields: Any) -> None:
        """Ada is so from now on, in these groups and in the joiners', and a notification says so."""
        groups = ("ITSM-NewJoiner", *groups) if joins else groups
        boss = Manager(id="bob", display_name="Charles Babbage", mail="babbage@contoso.example")
        now = person("ada", groups=groups, **{"display_name": "Ada Lovelace", "manager": boss, **fields})
        self.recording.told = (now, *(one for one in self.recording.told if one.id != now.id))
        self.world.put(now)
        self.world.look("ada")

    def bob(self) -> None:
        """Ada's manager works here."""
        bob = person("bob", display_name="Charles Babbage", mail="babbage@contoso.example")
        self.recording.told = (*self.recording.told, bob)
        self.world.put(bob)
        self.world.look("bob")

    def begin(self) -> None:
        """What comes now is what the story is about."""
        self.first = len(self.recording.commits)


def joiner(stage: Stage) -> None:
    """Somebody joins; the answers to the ticket and to the note are lost."""
    stage.ada()
    for what in (OpenTicket, AddNote):
        stage.world.desk.fail(CUT, asks=what, after_effect=True)
    stage.world.pass_time(minutes=20)


def leaver(stage: Stage) -> None:
    """Somebody who joined and works on the desk leaves; the answer to the ticket is lost."""
    stage.world.desk.put_agent("ada@contoso.example", "Approver", "Technician")
    stage.ada()
    stage.world.pass_time(minutes=20)
    stage.begin()
    stage.world.desk.fail(CUT, asks=OpenTicket, after_effect=True)
    stage.ada(account_enabled=False)
    stage.world.pass_time(minutes=20)


def leaver_over_joiner(stage: Stage) -> None:
    """Somebody leaves while the answer to their onboarding ticket is still looked for."""
    stage.ada()
    stage.world.pass_time(seconds=59)
    stage.world.desk.fail(CUT, asks=OpenTicket, after_effect=True)
    stage.world.pass_time(seconds=2)
    stage.begin()
    stage.ada(account_enabled=False)
    stage.world.pass_time(minutes=40)


def mover(stage: Stage) -> None:
    """Somebody who joined moves to another department and manager; the answer to the ticket is lost."""
    stage.ada()
    stage.world.pass_time(minutes=20)
    stage.begin()
    stage.world.desk.fail(CUT, asks=OpenTicket, after_effect=True)
    stage.ada(department="Research", manager=Manager(id="eve", display_name="Grace Hopper", mail="hopper@contoso.example"))
    stage.world.pass_time(minutes=40)


def renamer(stage: Stage) -> None:
    """Somebody who joined has a new name and address; the answer to the update is lost."""
    stage.ada()
    stage.world.pass_time(minutes=20)
    stage.begin()
    stage.world.desk.fail(CUT, asks=UpdateUser, after_effect=True)
    stage.ada(display_name="Ada King", mail="king@contoso.example")
    stage.world.pass_time(minutes=40)


def role_change(stage: Stage) -> None:
    """Somebody gains a role that nobody has to approve; the answer to the new agent is lost."""
    stage.ada(joins=False)
    stage.world.pass_time(minutes=20)
    stage.begin()
    stage.world.desk.fail(CUT, asks=EnsureAgent, after_effect=True)
    stage.ada("ITSM-ServiceDesk", joins=False)
    stage.world.pass_time(minutes=20)


def role_request(stage: Stage) -> None:
    """Somebody's manager has just approved a role; the answer to the note that says so is lost."""
    stage.bob()
    stage.ada(joins=False)
    stage.world.pass_time(minutes=20)
    stage.ada("ITSM-ChangeManagers", joins=False)
    stage.world.pass_time(minutes=20)
    [request] = [ticket for ticket in stage.world.desk.tickets if ticket.kind == "role"]
    stage.world.desk.answer(request.id, request.rounds[-1].answers[0].asked)
    # The desk as it was before the answer belongs to the last commit.
    stage.first = len(stage.recording.commits) + 1
    stage.world.desk.fail(CUT, asks=AddNote, after_effect=True)
    stage.world.app.poll_approvals()
    stage.world.pass_time(minutes=40)


def alert(stage: Stage) -> None:
    """The desk refuses an onboarding ticket once; the answer to the alert's own ticket is lost."""
    stage.ada()
    stage.world.pass_time(seconds=59)
    stage.world.desk.fail(Refused("the ticket type is not there"), asks=OpenTicket)
    stage.world.desk.fail(CUT, asks=OpenTicket, after_effect=True)
    stage.world.pass_time(minutes=40)
    told = [any(name.startswith("alert.") for name, _ in commit["writes"][-1][3]) for commit in stage.recording.commits]
    # An alert bears the moment of its commit; before that it would be another one.
    stage.first = told.index(True) + 1


_JOINER, _LEAVER, _ROLES, _ALERT = (CATALOGUE[fact].version for fact in (Joined, Left, RolesChanged, AlertRaised))
_MOVER, _RENAMER = (CATALOGUE[fact].version for fact in (Moved, Renamed))

#: File, with the version of every workflow that runs in it -> the story.
STORIES: dict[str, Callable[[Stage], None]] = {
    f"joiner-v{_JOINER}": joiner,
    f"leaver-v{_LEAVER}-after-joiner-v{_JOINER}": leaver,
    f"leaver-v{_LEAVER}-over-joiner-v{_JOINER}": leaver_over_joiner,
    f"mover-v{_MOVER}-after-joiner-v{_JOINER}": mover,
    f"renamer-v{_RENAMER}-after-joiner-v{_JOINER}": renamer,
    f"role_change-v{_ROLES}": role_change,
    f"role_change-v{_ROLES}-approved": role_request,
    f"alert-v{_ALERT}-of-joiner-v{_JOINER}": alert,
}


def record(name: str, story: Callable[[Stage], None]) -> Journal:
    """Play it, and keep what it left behind."""
    stage = Stage()
    story(stage)
    world, recording = stage.world, stage.recording
    return Journal(
        name=name,
        runs=runs_at_the_end(world),
        first=stage.first,
        looks=[one.id for one in recording.told],
        commits=recording.commits,
        desks=recording.desks,
        people=recording.people,
        sent=[(one.body.decode(), one.session_id, to_text(one.not_before) if one.not_before else None) for one in world.queue.sent],
        end=desk_at_the_end(world),
    )


def main() -> int:
    """0, whatever there was to do."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.replay.record", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="name the files and write nothing")
    asked = parser.parse_args()
    for name, story in STORIES.items():
        path = STORED / f"{name}.json"
        if asked.list or path.exists():
            print(f"{path.name}: {'there' if path.exists() else 'not there yet'}")
            continue
        journal = record(name, story)
        journal.write(path)
        print(f"{path.name}: {len(journal.commits)} commits, {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
