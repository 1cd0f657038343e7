"""SIGKILL at random moments while people come and go: everything is right at the end."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from product import PATIENCE, Product, wait_until
from tales import left
from world import Someone

pytestmark = pytest.mark.servers

_CAMPAIGN = bool(os.environ.get("JOINERY_CAMPAIGN"))
_KILLS, _PEOPLE = (40, 60) if _CAMPAIGN else (4, 10)
_BRISK = {
    "JOINERY_CALL_DEADLINE_SECONDS": "1",
    "JOINERY_SEARCH_LAG_SECONDS": "0.3",
    "JOINERY_HALO_CLIENT_ID": "local",
    "JOINERY_HALO_CALLS": "0",
}


class _Load:
    """Makes people join and leave, whatever dies meanwhile."""

    def __init__(self, it: Product) -> None:
        self._it = it
        self.gone: list[tuple[Someone, int]] = []
        self.failed: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            for number in range(_PEOPLE):
                self._one(f"Random Person{number:03d}")
        except BaseException as error:
            self.failed.append(error)

    def _one(self, name: str) -> None:
        world = self._it.world
        expected = Someone(id="", name=name, mail=f"{name.lower().replace(' ', '.')}@contoso.example")
        agent: int = self._sure(lambda: self._agent(expected))
        one: Someone = self._sure(lambda: self._person(expected))
        self._sure(lambda: self._member(one))
        # Each state has to last until one look: without a look in between, joining leaves no trace.
        self._sure(lambda: bool(world.tickets_of(one, "Onboarding")) or None)
        self._sure(lambda: self._disabled(one))
        self.gone.append((one, agent))

    def _agent(self, one: Someone) -> int:
        rows = self._it.world.halo("GET", f"/Agent?search={one.mail}&includeenabled=true&includedisabled=true")
        found = [row["id"] for row in (rows if isinstance(rows, list) else rows["results"]) if row["email"] == one.mail]
        return int(found[0]) if found else self._it.world.agent(one, "Service Desk")

    def _person(self, one: Someone) -> Someone:
        found = self._it.world.graph("GET", f"/users?$filter=userPrincipalName eq '{one.mail}'")["value"]
        return Someone(id=found[0]["id"], name=one.name, mail=one.mail) if found else self._it.world.person(one.name)

    def _member(self, one: Someone) -> bool:
        try:
            self._it.world.add(one)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 400:
                raise
        return True

    def _disabled(self, one: Someone) -> bool:
        self._it.world.disable(one)
        return True

    def _sure(self, do: Callable[[], Any]) -> Any:
        until = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < until:
            try:
                if (answer := do()) is not None:
                    return answer
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the load got no further:\n{self._it.story()}")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("apart", [True, False], ids=["ours alone, the stand-ins apart", "the whole of it"])
def test_kills_at_random_moments_change_nothing_that_can_be_seen(tmp_path: Path, apart: bool) -> None:
    it = Product.lay_out(tmp_path, apart=apart, settings=_BRISK)
    chance = random.Random(20261123 + apart)
    try:
        it.start()
        load = _Load(it)
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
