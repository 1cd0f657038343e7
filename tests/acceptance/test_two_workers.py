"""Two workers on one person: the one that was stopped and overtaken is refused, and what it sent is found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from product import PATIENCE, ROOT, Product, environment, wait_until
from world import Someone

from adapters.stores.sqlite import SqliteStateStore
from joinery.engine.audit import first_break
from joinery.engine.envelope import Envelope, EnvelopeKind, person_subject
from joinery.engine.parking import ParkingLot
from joinery.engine.readside import ReadSide

pytestmark = [pytest.mark.servers, pytest.mark.skipif(sys.platform == "win32", reason="stopping a process is a Unix thing")]

_DEADLINE, _LAG, _TWIN_CHECK = 1.5, 0.3, 4.0
_WORKER = Path(__file__).with_name("stoppable_worker.py")


class Worker:
    """One worker process over the shared store."""

    def __init__(self, it: Product, name: str, *, point: str | None = None) -> None:
        settings = {
            "JOINERY_DATA": str(it.folder / name),
            "JOINERY_GRAPH_URL": it.world.graph_url,
            "JOINERY_HALO_URL": it.world.halo_url,
            "JOINERY_HALO_CLIENT_ID": "local",
            "JOINERY_HALO_CALLS": "0",
            "JOINERY_PUBLIC_URL": "http://127.0.0.1:9",
            "JOINERY_CLIENT_STATE": "0" * 64,
            "JOINERY_CALL_DEADLINE_SECONDS": str(_DEADLINE),
            "JOINERY_SEARCH_LAG_SECONDS": str(_LAG),
            "JOINERY_TWIN_CHECK_SECONDS": str(_TWIN_CHECK),
            "JOINERY_SETTLE_SECONDS": "0",
        }
        given = {"settings": settings, "store": str(it.folder / "state.db"), "point": point}
        self._errors = (it.folder / f"{name}.txt").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, str(_WORKER), json.dumps(given)],
            env=environment(PYTHONPATH=str(ROOT)),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self.hears() == "ready", self.errors

    @property
    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def hears(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def look(self, one: Someone) -> None:
        """Give it the message; returns at once."""
        envelope = Envelope(tenant="local", subject=person_subject(one.id), kind=EnvelopeKind.LOOK, cause="test", at=datetime.now(UTC))
        assert self.process.stdin is not None
        self.process.stdin.write(envelope.encode().decode() + "\n")
        self.process.stdin.flush()

    def handle(self, one: Someone) -> None:
        """Give it the message and wait until it is handled."""
        self.look(one)
        assert self.hears() == "handled", self.errors

    def wait_until_stopped(self) -> None:
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), self.errors

    def wake(self) -> list[str]:
        """SIGCONT; what became of its commits until its message is handled."""
        self.process.send_signal(signal.SIGCONT)
        heard = []
        while (line := self.hears()) != "handled":
            assert line, self.errors
            heard.append(line)
        return heard

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._errors.close()


@contextmanager
def two_workers(folder: Path, point: str) -> Iterator[tuple[Product, Worker, Worker]]:
    it = Product.lay_out(folder, apart=True)
    workers: list[Worker] = []
    try:
        it.start_stand_ins()
        for name, where in (("first", point), ("second", None)):
            workers.append(Worker(it, name, point=where))
        yield it, workers[0], workers[1]
    finally:
        for worker in workers:
            worker.end()
        it.end()


@contextmanager
def reading(it: Product) -> Iterator[ReadSide]:
    store = SqliteStateStore(it.folder / "state.db")
    try:
        yield ReadSide(store, ParkingLot(store, clock=None, randomness=None))  # type: ignore[arg-type]  # nothing is parked here
    finally:
        store.close()


def stored(it: Product, one: Someone) -> object:
    """Everything in the person's partition."""
    store = SqliteStateStore(it.folder / "state.db")
    try:
        partition = f"local|{person_subject(one.id)}"
        return store.read(partition), store.scan(partition, "")
    finally:
        store.close()


def finish(it: Product, worker: Worker, one: Someone) -> None:
    """Hand the person to a worker until their run has ended."""

    def ended() -> bool:
        worker.handle(one)
        with reading(it) as reads:
            views = list(reads.runs())
        return bool(views) and all(view.run.closed_at for view in views)

    wait_until("the second worker has finished", ended, within=PATIENCE, explain=lambda: worker.errors)


def joiner(it: Product) -> Someone:
    boss = it.world.person("Bea Boss")
    one = it.world.person("Stan Still", manager=boss)
    it.world.add(one)
    return one


def stop_first(it: Product, first: Worker, one: Someone, point: str) -> None:
    if point == "within the call":
        # Long enough to be stopped in the middle, short enough to be done within the deadline.
        it.world.halo_faults({"match": {"method": "POST", "path": "/api/Tickets"}, "fault": "slow", "delay": 0.8, "times": 1})
    first.look(one)
    if point == "within the call":
        assert first.hears() == "calling", first.errors
        time.sleep(0.3)
        first.process.send_signal(signal.SIGSTOP)
    first.wait_until_stopped()


@pytest.mark.parametrize("point", ["after the intent", "within the call", "before the result"])
def test_a_worker_that_was_overtaken_is_refused_and_its_ticket_is_the_only_one(tmp_path: Path, point: str) -> None:
    with two_workers(tmp_path, point) as (it, first, second):
        one = joiner(it)
        stop_first(it, first, one, point)
        finish(it, second, one)
        before, tickets = stored(it, one), it.world.tickets()
        commits = first.wake()
        assert commits[0] == "commit refused", commits
        assert "commit written" not in commits
        assert stored(it, one) == before
        assert it.world.tickets() == tickets
        assert [row["summary"].partition(":")[0] for row in tickets] == ["Onboarding"]
        assert len(it.world.users_of(one)) == 1
        _sound(it, one, adopted=point != "after the intent")


def test_a_ticket_that_a_worker_sent_after_every_deadline_is_found_and_marked(tmp_path: Path) -> None:
    """It was stopped between its last look at the clock and the call, which nobody can prevent: there are two tickets, and both say so."""
    with two_workers(tmp_path, "before the call") as (it, first, second):
        one = joiner(it)
        stop_first(it, first, one, "before the call")
        finish(it, second, one)
        before = stored(it, one)
        commits = first.wake()
        assert commits[0] == "commit refused", commits
        assert "commit written" not in commits
        assert stored(it, one) == before
        ours, twin = it.world.tickets()

        def marked() -> bool:
            second.handle(one)
            return bool(_notes(it, twin["id"]))

        wait_until("the twin is marked", marked, within=PATIENCE, explain=lambda: second.errors)
        second.handle(one)
        assert [f"is a twin of ticket {ours['id']}" in note for note in _notes(it, twin["id"])] == [True]
        assert not any("twin" in note for note in _notes(it, ours["id"]))
        with reading(it) as reads:
            actions = [line.record.action for line in reads.audit(f"local|{person_subject(one.id)}")]
        assert (actions.count("twin found"), actions.count("alert")) == (1, 1)
        _sound(it, one, adopted=False)


def _notes(it: Product, ticket: int) -> list[str]:
    found = it.world.halo("GET", f"/Actions?ticket_id={ticket}&count=100")["actions"]
    return [str(one["note"]) for one in found if "twin" in str(one["note"])]


def _sound(it: Product, one: Someone, *, adopted: bool) -> None:
    """One verified run, one whole chain, and the ticket's step done once: by the worker that finished."""
    with reading(it) as reads:
        (view,) = reads.runs()
        records = [line.record for line in reads.audit(f"local|{person_subject(one.id)}")]
    assert str(view.run.status) == "verified"
    assert first_break(records) is None
    (step,) = [step for step in view.steps if step.asks == "OpenTicket"]
    about = [record.action for record in records if record.step == step.name]
    assert about.count("step done") == 1
    assert ("step adopted" in about) is adopted
