"""One world in which person after person joins and leaves while the product dies at one call of each one's story."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from product import PATIENCE, ROOT, Product, all_may_leave, environment, wait_until
from world import Someone, World

_LAUNCHER = Path(__file__).with_name("crashing.py")
#: A crash leaves intents open, and each is waited for until its deadline and the search lag are over.
_BRISK = {
    "JOINERY_HALO_CLIENT_ID": "local",
    "JOINERY_HALO_CALLS": "0",
    "JOINERY_CALL_DEADLINE_SECONDS": "0.6",
    "JOINERY_SEARCH_LAG_SECONDS": "0.1",
    "JOINERY_SETTLE_SECONDS": "0",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Where the product dies."""

    call: str
    when: str

    def __str__(self) -> str:
        return f"{self.when} {self.call}"


class CrashStory:
    """The launcher, one world, and the story told once per point."""

    def __init__(self, folder: Path, *, apart: bool) -> None:
        self.it = Product.lay_out(folder, apart=apart)
        self.world: World = self.it.world
        self._folder = folder
        self._armed, self._calls = folder / "armed", folder / "calls"
        self._pid = 0
        self._count = 0
        self.reached: list[Point] = []
        self.missed: list[Point] = []
        self._errors = (folder / "launcher.txt").open("wb")
        self._launcher = subprocess.Popen(
            [sys.executable, str(_LAUNCHER)],
            env=environment(PYTHONPATH=str(ROOT)),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        if apart:
            self.it.start_stand_ins()

    def end(self) -> None:
        """Kill everything."""
        self._kill()
        self._launcher.kill()
        self._launcher.wait()
        self._errors.close()
        self.it.end()

    # --- the process ---

    def _start(self, point: Point | None = None) -> None:
        self._armed.unlink(missing_ok=True)
        self._calls.unlink(missing_ok=True)
        addresses = {"JOINERY_DATA": str(self.it.data), "JOINERY_PORT": str(self.it.port)}
        if self.it.stand_ins is not None:
            addresses |= {"JOINERY_GRAPH_URL": self.world.graph_url, "JOINERY_HALO_URL": self.world.halo_url}
        else:
            addresses |= {"JOINERY_GRAPH_PORT": str(self.it.graph_port), "JOINERY_HALO_PORT": str(self.it.halo_port)}
        order: dict[str, Any] = {
            "settings": _BRISK | addresses | all_may_leave(self._folder),
            "armed": str(self._armed),
            "calls": str(self._calls),
        }
        order |= {"point": point.call if point else None, "when": point.when if point else "after"}
        assert self._launcher.stdin is not None and self._launcher.stdout is not None
        self._launcher.stdin.write(json.dumps(order) + "\n")
        self._launcher.stdin.flush()
        self._pid = int(self._launcher.stdout.readline())

        def ready() -> bool:
            assert self._alive(), f"it died while it started, {point}:\n{self._explain()}"
            return self.it.health()[0] == 200

        wait_until("health is 200", ready, explain=self._explain)

    def _alive(self) -> bool:
        with suppress(ProcessLookupError):
            os.kill(self._pid, 0)
            return bool(self._pid)
        return False

    def _kill(self) -> None:
        if self._pid and self._alive():
            os.kill(self._pid, signal.SIGKILL)
            while self._alive():
                time.sleep(0.005)

    def _explain(self) -> str:
        calls = self._calls.read_text() if self._calls.exists() else ""
        return f"{(self._folder / 'launcher.txt').read_text()[-9000:]}\ncalls: {calls.split(chr(10))}\n{self.it.story()}"

    # --- the story ---

    def calls(self) -> list[str]:
        """Tell the story once without a crash; every call it made, by name."""
        self._tell(None)
        return self._calls.read_text().split("\n")[:-1]

    def crash_at(self, point: Point) -> None:
        """Tell the story of a new person, die at the point, start again with the same data, and check that nothing can be seen of it."""
        self._tell(point)
        died = self._died
        (self.reached if died else self.missed).append(point)

    def _tell(self, point: Point | None) -> None:
        self._kill()
        self._start(point)
        self._died = False
        self._count += 1
        name = f"Crash Case{self._count:03d}"
        boss = self._sure(lambda: self.world.person(f"Boss Case{self._count:03d}"))
        expected = Someone(id="", name=name, mail=f"crash.case{self._count:03d}@contoso.example")
        agent = self._sure(lambda: self.world.agent(expected, "Administrator"))
        self._armed.touch()
        one = self._sure(lambda: self._made(expected))
        self._sure(lambda: self.world.set_manager(one, boss))
        self._sure(lambda: self._added(one))
        self._until(point, one, "the onboarding ticket", lambda: self._joined(one))
        self._sure(lambda: self.world.disable(one))
        self._until(point, one, "everything that a leaver is due", lambda: self._left(one, agent))
        self._no_more_than_that(point, one)

    def _sure(self, do: Callable[[], Any]) -> Any:
        """Do it; where the stand-ins died in the middle, start again and repeat."""
        until = time.monotonic() + PATIENCE
        while True:
            self._revive()
            try:
                return do()
            except httpx.TransportError:
                assert time.monotonic() < until
                time.sleep(0.02)

    def _revive(self) -> None:
        if not self._alive():
            self._died = True
            killed = self._calls.exists() and "killed" in self._calls.read_text()
            assert killed, f"it died by itself:\n{self._explain()}"
            self._start()

    def _made(self, expected: Someone) -> Someone:
        found = self.world.graph("GET", f"/users?$filter=userPrincipalName eq '{expected.mail}'")["value"]
        return Someone(id=found[0]["id"], name=expected.name, mail=expected.mail) if found else self.world.person(expected.name)

    def _added(self, one: Someone) -> None:
        try:
            self.world.add(one)
        except httpx.HTTPStatusError as error:
            # A repeat after the answer was lost: the member is there already.
            if error.response.status_code != 400:
                raise

    def _until(self, point: Point | None, one: Someone, what: str, look: Callable[[], bool]) -> None:
        wait_until(f"{what} of {one.name}, killed {point}", lambda: self._sure(look), explain=self._explain)

    def _joined(self, one: Someone) -> bool:
        return bool(self.world.tickets_of(one, "Onboarding")) and self.it.health()[1]["open_runs"] == 0

    def _left(self, one: Someone, agent: int) -> bool:
        detail = self.world.agent_detail(agent)
        gone = detail["isdisabled"] and detail["roles"] == [] and all(user["inactive"] for user in self.world.users_of(one))
        return gone and bool(self.world.tickets_of(one, "Offboarding")) and self.it.health()[1]["open_runs"] == 0

    def _no_more_than_that(self, point: Point | None, one: Someone) -> None:
        kinds = [row["summary"].partition(":")[0] for row in self.world.tickets_of(one)]
        assert kinds == ["Onboarding", "Offboarding"], f"killed {point}: {kinds}\n{self._explain()}"
        users = self.world.users_of(one)
        assert len(users) == 1, f"killed {point}: {users}\n{self._explain()}"
        assert {row["user_id"] for row in self.world.tickets_of(one)} == {users[0]["id"]}, f"killed {point}"
        notes = self.world.halo("GET", f"/Actions?ticket_id={self.world.tickets_of(one)[0]['id']}&count=100")["actions"]
        texts = [str(note.get("note")) for note in notes]
        assert len(texts) == len(set(texts)), f"killed {point}: a note twice: {texts}"

    def nothing_is_left_over(self) -> None:
        """No ticket but those that were checked one by one, and nothing parked."""
        self._revive()
        assert len(self.world.tickets()) == 2 * self._count, self._explain()
        health = self.it.health()[1]
        assert (health["parked"], health["open_runs"]) == (0, 0), self._explain()
