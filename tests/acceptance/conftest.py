"""A product that is up, for tests that leave it as usable as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from product import Product, product


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One `joinery up` per module, with short deadlines; tests make people of their own and take their faults away."""
    settings = {
        "JOINERY_HALO_CLIENT_ID": "local",
        "JOINERY_HALO_CALLS": "0",
        "JOINERY_CALL_DEADLINE_SECONDS": "1",
        "JOINERY_SEARCH_LAG_SECONDS": "0.3",
        "JOINERY_TWIN_CHECK_SECONDS": "6",
    }
    with product(tmp_path_factory.mktemp("up"), settings=settings) as it:
        yield it


@pytest.fixture(autouse=True)
def _no_faults_stay_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test broke works again for the next one."""
    yield
    if "up" in request.fixturenames:
        world = request.getfixturevalue("up").world
        world.graph_faults()
        world.halo_faults()
