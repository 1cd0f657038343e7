"""The two stories and what has to be true at the end of each."""

from __future__ import annotations

from typing import Any

from product import PATIENCE, Product, wait_until
from world import Someone


def made(it: Product, name: str, **fields: Any) -> Someone:
    """A person with a manager of their own."""
    boss = it.world.person(f"{name} Boss")
    return it.world.person(name, manager=boss, **fields)


def joined(it: Product, one: Someone, *, within: float = PATIENCE) -> dict[str, Any]:
    """Wait until the joiner's story has ended; the ticket's detail. Asserts that there is exactly one, for the person's one active user."""

    def there() -> bool:
        users = it.world.users_of(one)
        active = bool(users) and not any(user["inactive"] for user in users)
        return active and bool(it.world.tickets_of(one, "Onboarding")) and it.health()[1]["open_runs"] == 0

    wait_until(f"{one.name} has joined", there, within=within, explain=it.story)
    (row,) = it.world.tickets_of(one, "Onboarding")
    (user,) = it.world.users_of(one)
    assert row["user_id"] == user["id"], it.story()
    return it.world.ticket(row["id"])


def left(it: Product, one: Someone, *, agent: int | None = None, within: float = PATIENCE, earlier: int = 1) -> None:
    """Wait until the leaver's story has ended. Asserts one leaver ticket, the user inactive, the agent without roles."""

    def there() -> bool:
        users = it.world.users_of(one)
        gone = all(user["inactive"] for user in users)
        if agent is not None:
            detail = it.world.agent_detail(agent)
            gone = gone and detail["isdisabled"] is True and detail["roles"] == []
        return gone and bool(it.world.tickets_of(one, "Offboarding")) and it.health()[1]["open_runs"] == 0

    wait_until(f"{one.name} has left", there, within=within, explain=it.story)
    kinds = [row["summary"].partition(":")[0] for row in it.world.tickets_of(one)]
    assert kinds == ["Onboarding"] * earlier + ["Offboarding"], it.story()
    assert len(it.world.users_of(one)) <= 1, it.story()


def verified(it: Product, one: Someone) -> int:
    """How many runs the audit calls verified."""
    return it.tale(one).count("run verified")
