"""SIGKILL at random moments while people come and go: everything is right at the end."""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from coming_and_going import ComingAndGoing, wrong_at_the_end
from product import Product, wait_until
from tales import left

from adapters.stores.sqlite import SqliteStateStore
from joinery.engine.audit import first_break
from joinery.engine.journal import RunStatus
from joinery.engine.parking import ParkingLot
from joinery.engine.readside import ReadSide

pytestmark = pytest.mark.servers

_CAMPAIGN = bool(os.environ.get("JOINERY_CAMPAIGN"))
_KILLS, _PEOPLE = (40, 60) if _CAMPAIGN else (4, 10)
#: The long loop; as many people as come and go meanwhile.
_LOOP_KILLS = int(os.environ.get("JOINERY_KILLS", "500" if _CAMPAIGN else "5"))
#: How many come and go at once.
_LOOP_THREADS = 3
_BRISK = {
    "JOINERY_CALL_DEADLINE_SECONDS": "1",
    "JOINERY_SEARCH_LAG_SECONDS": "0.3",
    "JOINERY_HALO_CLIENT_ID": "local",
    "JOINERY_HALO_CALLS": "0",
}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("apart", [True, False], ids=["ours alone, the stand-ins apart", "the whole of it"])
def test_kills_at_random_moments_change_nothing_that_can_be_seen(tmp_path: Path, apart: bool) -> None:
    it = Product.lay_out(tmp_path, apart=apart, settings=_BRISK)
    chance = random.Random(20261123 + apart)
    try:
        it.start()
        load = ComingAndGoing(it, iter([f"Random Person{number:03d}" for number in range(_PEOPLE)]))
        load.thread.start()
        for _ in range(_KILLS):
            time.sleep(chance.uniform(0.05, 1.5))
            it.ours.kill()
            it.ours.start()
            if chance.random() < 0.7:
                it.wait_ready()
        it.wait_ready()
        wait_until("the load is through", lambda: not load.thread.is_alive(), within=180 if not _CAMPAIGN else 900, explain=it.story)
        assert not load.failed, load.failed
        assert len(load.gone) == _PEOPLE
        for one, agent in load.gone:
            left(it, one, agent=agent)
        assert len(it.world.tickets()) == 2 * _PEOPLE
        assert it.health()[1]["parked"] == 0
    finally:
        it.end()


@pytest.mark.timeout(2400)
def test_a_long_loop_of_kills_loses_nothing_and_does_nothing_twice(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """People come and go through every kill; the end is compared with their stories, and every audit chain is whole."""
    it = Product.lay_out(tmp_path, apart=True, settings=_BRISK)
    chance, enough = random.Random(500), threading.Event()
    numbers = itertools.count()

    def names() -> Iterator[str]:
        while not enough.is_set():
            yield f"Loop Person{next(numbers):04d}"

    try:
        it.start()
        loads = [ComingAndGoing(it, names(), pause=1.0) for _ in range(_LOOP_THREADS)]
        for load in loads:
            load.thread.start()
        began = started = time.monotonic()
        restarts = []
        for _ in range(_LOOP_KILLS):
            # A start takes a second or two here: about half of the kills fall into one, the others into full work.
            if chance.random() < 0.5:
                time.sleep(chance.uniform(0.1, 1.5))
            else:
                it.wait_ready()
                restarts.append(time.monotonic() - started)
                time.sleep(chance.uniform(0.0, 1.2))
            it.ours.kill()
            started = time.monotonic()
            it.ours.start()
            assert not any(load.failed for load in loads), [load.failed for load in loads]
        enough.set()
        it.wait_ready()
        restarts.append(time.monotonic() - started)
        wait_until("the load is through", lambda: not any(load.thread.is_alive() for load in loads), within=300, explain=it.story)
        assert not any(load.failed for load in loads), [load.failed for load in loads]
        gone = [one for load in loads for one in load.gone]
        wait_until("nothing is open", lambda: _all_have_left(it, len(gone)), within=300, explain=it.story)
        found = wrong_at_the_end(it, gone)
        summary = {
            "kills": _LOOP_KILLS,
            "people": len(gone),
            "tickets": len(it.world.tickets()),
            **{name: len(what) for name, what in found.items()},
            "slowest_restart_seconds": round(max(restarts), 1),
            "seconds": round(time.monotonic() - began),
        }
        with capfd.disabled():
            print(f"\n{json.dumps(summary)}", file=sys.stderr, flush=True)
        assert not any(found.values()), found
        assert it.health()[1]["parked"] == 0
        assert it.ours.stop() == 0
        _everything_is_explained(it, len(gone))
    finally:
        enough.set()
        it.end()


def _all_have_left(it: Product, people: int) -> bool:
    return it.health()[1]["open_runs"] == 0 and len(it.world.tickets("Offboarding")) >= people


def _everything_is_explained(it: Product, people: int) -> None:
    """A joiner that was verified, or overtaken by the leave, a verified leaver, and no break in any chain."""
    store = SqliteStateStore(it.data / "state.db")
    try:
        reads = ReadSide(store, ParkingLot(store, clock=None, randomness=None))  # type: ignore[arg-type]  # nothing is parked here
        ends = Counter((view.run.workflow, view.run.status) for view in reads.runs())
        assert ends.pop(("leaver", RunStatus.VERIFIED)) == people
        assert ends.pop(("joiner", RunStatus.VERIFIED)) + ends.pop(("joiner", RunStatus.SUPERSEDED), 0) == people
        assert not ends
        for known in reads.people():
            assert first_break([line.record for line in reads.audit(known.partition)]) is None, known.partition
    finally:
        store.close()
