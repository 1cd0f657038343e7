"""With a settle time: a new joiner has to last, a leaver goes at once, and a quick reversal is looked at twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from product import Product, product, wait_until
from tales import joined, left, made
from world import Someone

pytestmark = pytest.mark.servers

_SETTLE = 2.0


@pytest.fixture(scope="module")
def settling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product with a settle time, and second looks, of two seconds."""
    with product(tmp_path_factory.mktemp("settling"), settle=f"{_SETTLE:g}") as it:
        yield it


def _twice_settled(it: Product) -> None:
    """Longer than anything that was begun before needs."""
    it.wait_quiet()
    time.sleep(2 * _SETTLE + 1)


def test_a_joiner_who_lasts_gets_a_ticket_and_one_who_does_not_gets_none(settling: Product) -> None:
    stays, goes = made(settling, "Stina Stays"), made(settling, "Gustav Goes")
    settling.world.add(goes)
    settling.world.remove(goes)
    settling.world.add(stays)
    joined(settling, stays)
    _twice_settled(settling)
    assert settling.world.tickets_of(goes) == []


def test_a_disabled_account_acts_at_once_however_young_the_last_decision(settling: Product) -> None:
    one = made(settling, "Adam Atonce")
    agent = settling.world.agent(one, "Administrator")
    settling.world.add(one)
    joined(settling, one)
    settling.world.disable(one)
    left(settling, one, agent=agent)


def test_a_person_who_left_before_the_settle_time_was_over_is_a_leaver_and_no_joiner(settling: Product) -> None:
    one = made(settling, "Frida Fleeting")
    settling.world.add(one)
    wait_until("the person is known", lambda: settling.tale(one), explain=settling.story)
    settling.world.disable(one)
    wait_until("nothing is open", lambda: settling.world.tickets_of(one, "Offboarding") or not _knows(settling, one), within=20)
    _twice_settled(settling)
    assert settling.world.tickets_of(one, "Onboarding") == []
    assert all(user["inactive"] for user in settling.world.users_of(one))


def _knows(it: Product, one: Someone) -> bool:
    return "Left" in it.tale(one) or "disabled" in it.tale(one)


def test_a_settle_time_survives_a_kill(tmp_path: Path) -> None:
    with product(tmp_path, settle="3") as it:
        one = made(it, "Kurt Killed")
        it.world.add(one)
        wait_until("the person is known", lambda: it.tale(one), explain=it.story)
        it.ours.kill()
        it.ours.start()
        it.wait_ready()
        joined(it, one)
