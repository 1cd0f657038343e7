"""The two stories with state in the Table service, told through the public interfaces, and what is said where it cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from product import Product, free_ports, product
from tales import joined, left, made, verified

if TYPE_CHECKING:
    from table_service import Azurite

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def settings(azurite: Azurite) -> dict[str, str]:
    return {
        "JOINERY_STORE": "tables",
        "JOINERY_TABLES_CONNECTION": azurite.connection,
        "JOINERY_TABLES_NAME": azurite.new_table(),
        "JOINERY_HALO_CLIENT_ID": "local",
        "JOINERY_CALL_DEADLINE_SECONDS": "1",
        "JOINERY_SEARCH_LAG_SECONDS": "0.3",
        "JOINERY_TWIN_CHECK_SECONDS": "6",
    }


@pytest.fixture(scope="module")
def up(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("up"), settings=settings) as it:
        yield it


def test_a_joiner_and_a_leaver_with_a_restart_between_them(up: Product) -> None:
    one = made(up, "Tove Tabell")
    agent = up.world.agent(one, "Service Desk")
    up.world.add(one)
    joined(up, one)
    assert verified(up, one) == 1
    up.restart()
    up.world.disable(one)
    left(up, one, agent=agent)
    assert verified(up, one) == 2
    assert not (up.data / "state.db").exists()
    assert "state.db" not in up.ours.output + up.log()


def test_a_command_that_names_a_table_without_state_says_so_and_makes_none(up: Product, azurite: Azurite) -> None:
    for _ in range(2):
        done = up.command("parked", "list", JOINERY_TABLES_NAME="elsewhere")
        assert done.returncode == 2
        assert f"127.0.0.1:{azurite.port} elsewhere: holds no state. " in done.stderr
        assert "JOINERY_TABLES_NAME" in done.stderr


def test_a_key_that_is_refused_ends_the_start_with_place_and_remedy(settings: dict[str, str], azurite: Azurite, tmp_path: Path) -> None:
    it = Product.lay_out(tmp_path, settings=settings | {"JOINERY_TABLES_CONNECTION": azurite.connection.replace(azurite.key, "d3Jvbmc=")})
    try:
        it.ours.start()
        assert it.ours.popen.wait(timeout=60) == 2
        assert "cannot be used" in it.ours.output
        assert "Storage Table Data Contributor" in it.ours.output
        assert "Traceback" not in it.ours.output
    finally:
        it.end()


def test_a_service_that_does_not_answer_is_said_in_one_line(settings: dict[str, str], azurite: Azurite, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    elsewhere = azurite.connection.replace(f":{azurite.port}/", f":{port}/")
    it = Product.lay_out(tmp_path, settings=settings | {"JOINERY_TABLES_CONNECTION": elsewhere})
    try:
        it.ours.start()
        assert it.ours.popen.wait(timeout=60) == 2
        assert "the table service does not answer" in it.ours.output
        assert "Traceback" not in it.ours.output
    finally:
        it.end()
