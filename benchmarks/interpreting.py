"""How fast ``interpret`` decides, and how long a plan takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.figure import Figure
from joinery.domain.changes import Episode, Known, Stage, interpret
from joinery.domain.person import Manager, Person
from joinery.engine.memory import FakeClock
from joinery.engine.retry import EngineTiming
from joinery.planning import Planner, StoredDirectory
from joinery.testing import DEPLOYMENT, TENANT, World, everyone, person
from workflows import CATALOGUE

_ROUNDS = 50_000


def measure() -> Iterator[Figure]:
    """Looks without a change and with one, each a fresh read of somebody with a manager; then the plan of everything that can happen at once."""
    policy, now = everyone(), FakeClock().now()
    known = Known(seen=_ada(), baseline=_ada(), decided_at=now, episode=Episode(stage=Stage.ACTIVE))
    moved = {"department": "Sales", "job_title": "Lead"}
    since = replace(known, doubts={"moved": now - policy.timing.settle_time})
    for name, before, seen in (
        ("no change", known, _ada()),
        ("a move, which settles", known, _ada(**moved)),
        ("a move that has settled", since, _ada(**moved)),
        ("a role gained", known, _ada(groups=("ITSM-ChangeManagers",))),
        ("an account disabled", known, _ada(account_enabled=False)),
    ):
        # The processor's time: it computes and nothing else, and waits for nobody but other work on the machine.
        began = time.process_time()
        for _ in range(_ROUNDS):
            interpret(before, seen, policy, now)
        yield Figure(name=f"interpret, {name}", value=_ROUNDS / (time.process_time() - began), unit="/s", peer=50_000, peer_name="to reach")
    yield from _plans()


def _plans() -> Iterator[Figure]:
    world = World()
    world.put(person("bob"))
    world.put(_ada(groups=("ITSM-NewJoiner", "ITSM-ServiceDesk")))
    for identity in ("bob", "ada"):
        world.look(identity)
    world.pass_time(hours=50)
    planner = Planner(
        store=world.store,
        directory=StoredDirectory(world.store, TENANT),
        policy=world.policy,
        catalogue=CATALOGUE,
        clock=world.clock,
        tenant=TENANT,
        deployment=DEPLOYMENT,
        timing=EngineTiming(),
    )
    everything = _ada(groups=("ITSM-NewJoiner", "ITSM-ChangeManagers", "ITSM-Admins"), department="Sales", display_name="Ada Byron")
    for name, seen in (("a move, a new name and three roles", everything), ("an account disabled", _ada(account_enabled=False))):
        began = time.perf_counter()
        planner.plan(f"{TENANT}|person:ada", seen)
        yield Figure(name=f"plan, {name}", value=time.perf_counter() - began, unit="s", peer=1, peer_name="to reach")


def _ada(**fields: object) -> Person:
    return person("ada", manager=Manager(id="bob", display_name="Bob", mail="bob@contoso.example"), **fields)
