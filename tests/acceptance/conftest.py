"""A product that is up, for tests that leave it as usable as they found it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from product import Product, product
from workers import TwoWorkers, two_workers


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One `joinery up` per module, with short deadlines; tests make people of their own and take their faults away."""
    with _one_process(tmp_path_factory) as it:
        yield it


@pytest.fixture(scope="module", params=["one process", "two workers over AMQP"])
def up_either_way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The same, and then two workers with the bus and the tables between them, of which one is killed again and again."""
    if request.param == "one process":
        with _one_process(tmp_path_factory) as it:
            yield it
    else:
        with two_workers(tmp_path_factory.mktemp("workers"), request.getfixturevalue("azurite")) as it:
            yield it


def _one_process(folders: pytest.TempPathFactory) -> AbstractContextManager[Product]:
    settings = {
        "JOINERY_HALO_CLIENT_ID": "local",
        "JOINERY_HALO_CALLS": "0",
        "JOINERY_CALL_DEADLINE_SECONDS": "1",
        "JOINERY_SEARCH_LAG_SECONDS": "0.3",
        "JOINERY_TWIN_CHECK_SECONDS": "6",
    }
    return product(folders.mktemp("up"), settings=settings)


@pytest.fixture(autouse=True)
def _no_faults_stay_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test broke works again for the next one."""
    yield
    if "up" in request.fixturenames:
        world = request.getfixturevalue("up").world
        world.graph_faults()
        world.halo_faults()


@pytest.fixture(autouse=True)
def _one_worker_is_killed(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the middle of every test with two of them, whatever it has in hand."""
    it = request.getfixturevalue("up") if "up" in request.fixturenames else None
    if not isinstance(it, TwoWorkers):
        yield
        return
    killing = threading.Timer(1.0, it.kill_the_second)
    killing.start()
    yield
    killing.join()
