"""Two workers side by side over AMQP, and one of them killed in the middle: nobody gets two tickets, and nobody none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from product import wait_until
from workers import HOOK, STATE, TwoWorkers, two_workers

if TYPE_CHECKING:
    from table_service import Azurite

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite) -> Iterator[TwoWorkers]:
    with two_workers(tmp_path_factory.mktemp("site"), azurite) as it:
        yield it


def test_a_role_is_asked_for_and_granted_while_one_of_two_workers_is_killed_and_nobody_gets_two_tickets(site: TwoWorkers) -> None:
    world = site.world
    manager = world.person("Mona Chef")
    asks = world.person("Rolf Antrag", manager=manager)
    people = [world.person(f"Wanda Werk{letter}", manager=manager) for letter in "abcdef"]
    world.add(asks, "ITSM-ChangeManagers")
    for one in people[:3]:
        world.add(one)
    wait_until("the first tickets", lambda: sum(len(world.tickets_of(one)) for one in people[:3]) >= 1, explain=site.story)
    for one in people[3:]:
        world.add(one)
    site.second.kill()
    wait_until("everybody has a ticket", lambda: all(world.tickets_of(one) for one in people), explain=site.story)
    [request] = wait_until("the request", lambda: world.tickets_of(asks, "Role"), explain=site.story)
    wait_until("the manager is asked", lambda: world.approvals(request["id"]), explain=site.story)
    assert world.roles_of(asks) == []
    world.answer(manager, request["id"], approved=True)
    site.second.start()
    site.wait_for_the_second()
    world.disable(people[0])
    wait_until("the leaver's ticket", lambda: world.tickets_of(people[0], "Offboarding"), explain=site.story)
    wait_until("the leaver is inactive", lambda: all(user["inactive"] for user in world.users_of(people[0])), explain=site.story)
    wait_until("the role is there", lambda: world.roles_of(asks) == ["Change Manager"], explain=site.story)
    assert [len(world.tickets_of(one, "Onboarding")) for one in people] == [1] * 6
    assert [len(world.users_of(one)) for one in people] == [1] * 6
    assert len(world.tickets_of(asks)) == 1


def test_both_stop_when_they_are_told_to_and_no_log_holds_a_name_or_a_secret(site: TwoWorkers) -> None:
    site.restart()
    said = site.log()
    assert said.count("stopped") == 2
    secrets = (STATE, HOOK["secret"], HOOK["password"], "SharedAccessKey=")
    assert not [word for word in ("Wanda", "Rolf", "contoso.example", *secrets) if word in said]
