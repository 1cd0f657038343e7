"""Microsoft's worker in a process of its own, with the real function app indexed in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from not_run import FUNCTIONS, not_run
from worker_client import ENGINE, ROOT, Worker


@pytest.fixture(scope="session")
def engine() -> None:
    """Without Microsoft's engine a skip on a laptop and a failure in CI."""
    if not ENGINE.is_dir():
        not_run(FUNCTIONS)


@pytest.fixture(scope="module")
def worker(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The worker, started somewhere else than in our tree, as in the cloud."""
    made = Worker(tmp_path_factory.mktemp("worker"))
    indexed = made.order("index", str(ROOT))
    assert indexed["problem"] == "", indexed["problem"]
    yield made
    made.close()
