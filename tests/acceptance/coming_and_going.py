"""People who join and leave all the while, whatever of the product dies meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx
from product import PATIENCE, Product
from world import Someone, World

T = TypeVar("T")


class ComingAndGoing:
    """A thread that lets one person after the other join, get their ticket, and leave; the next comes as soon as one has left.

    ``gone`` holds everybody who left, each with the number of the agent that was theirs.
    """

    def __init__(self, it: Product, names: Iterator[str], *, pause: float = 0.0) -> None:
        self._it = it
        self._names = names
        #: Seconds between one and the next.
        self._pause = pause
        # Its own connections and tokens: several of these run at once.
        self._world = World(it.world.graph_url, it.world.halo_url)
        self.gone: list[tuple[Someone, int]] = []
        self.failed: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            for name in self._names:
                self._one(name)
                time.sleep(self._pause)
        except BaseException as error:
            self.failed.append(error)
        finally:
            self._world.close()

    def _one(self, name: str) -> None:
        world = self._world
        expected = Someone(id="", name=name, mail=f"{name.lower().replace(' ', '.')}@contoso.example")
        agent = self._sure(lambda: self._agent(expected))
        one = self._sure(lambda: self._person(expected))
        self._sure(lambda: self._member(one))
        # Each state has to last until one look: without a look in between, joining leaves no trace.
        self._sure(lambda: world.halo("GET", f"/Tickets?search_summary={name}")["tickets"] or None)
        self._sure(lambda: self._disabled(one))
        self.gone.append((one, agent))

    def _agent(self, one: Someone) -> int:
        rows = self._world.halo("GET", f"/Agent?search={one.mail}&includeenabled=true&includedisabled=true")
        found = [row["id"] for row in (rows if isinstance(rows, list) else rows["results"]) if row["email"] == one.mail]
        return int(found[0]) if found else self._world.agent(one, "Service Desk")

    def _person(self, one: Someone) -> Someone:
        found = self._world.graph("GET", f"/users?$filter=userPrincipalName eq '{one.mail}'")["value"]
        return Someone(id=found[0]["id"], name=one.name, mail=one.mail) if found else self._world.person(one.name)

    def _member(self, one: Someone) -> bool:
        try:
            self._world.add(one)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 400:
                raise
        return True

    def _disabled(self, one: Someone) -> bool:
        self._world.disable(one)
        return True

    def _sure(self, do: Callable[[], T | None]) -> T:
        until = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < until:
            try:
                if (answer := do()) is not None:
                    return answer
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"the load got no further:\n{self._it.story()}")


def wrong_at_the_end(it: Product, gone: list[tuple[Someone, int]]) -> dict[str, list[str]]:
    """What is ``lost`` (a ticket that is missing, a user or agent who still can), ``duplicated`` or ``wrong`` about those who came and went."""
    world = it.world
    found: dict[str, list[str]] = {"lost": [], "wrong": [], "duplicated": []}
    tickets = world.tickets()
    users = [world.halo("GET", f"/Users/{row['id']}?includedetails=true") for row in _all_users(world)]
    for one, agent in gone:
        theirs = [row for row in tickets if one.name in row["summary"]]
        for kind in ("Onboarding", "Offboarding"):
            count = sum(row["summary"].startswith(kind) for row in theirs)
            if count != 1:
                found["lost" if count == 0 else "duplicated"].append(f"{one.name}: {count} tickets, {kind}")
        accounts = [user for user in users if user.get("azureoid") == one.id or str(user.get("emailaddress", "")).lower() == one.mail]
        if len(accounts) != 1:
            found["lost" if not accounts else "duplicated"].append(f"{one.name}: {len(accounts)} users")
        if any(not user["inactive"] for user in accounts):
            found["lost"].append(f"{one.name}: the user is still active")
        if {row["user_id"] for row in theirs} - {user["id"] for user in accounts}:
            found["wrong"].append(f"{one.name}: a ticket of somebody else")
        detail = world.agent_detail(agent)
        if not detail["isdisabled"] or detail["roles"]:
            found["lost"].append(f"{one.name}: the agent is still enabled")
    strangers = len(tickets) - 2 * len(gone)
    if strangers and not found["lost"] and not found["duplicated"]:
        found["wrong"].append(f"{strangers} tickets too many")
    return found


def _all_users(world: World) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = world.halo("GET", "/Users?includeinactive=true&count=5000")["users"]
    return rows
