"""Graph that does not answer, answers late, or answers with what was true a while ago."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from product import Product, product, wait_until
from tales import joined, left, made

pytestmark = pytest.mark.servers

_BATCH = {"method": "POST", "path": "/v1.0/$batch"}
_FAULTS: dict[str, dict[str, Any]] = {
    "lost response": {"fault": "lost_response", "times": 2},
    "lost request": {"fault": "lost_request", "times": 2},
    "500": {"fault": "status", "status": 500, "times": 2},
    "502 with a page": {"fault": "status", "status": 502, "body": "<html>bad gateway</html>"},
    "401": {"fault": "status", "status": 401},
    "429": {"fault": "throttle", "retry_after": 1},
    "200 that is no JSON": {"fault": "status", "status": 200, "body": "<html>"},
    "200 that is JSON of another kind": {"fault": "status", "status": 200, "body": {"responses": [{"id": "1"}]}},
    "slow": {"fault": "slow", "delay": 1.5},
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_look_that_fails_is_repeated_until_it_succeeds(up: Product, fault: str) -> None:
    one = made(up, f"Greta {fault.title()}")
    up.world.graph_faults({"match": _BATCH, **_FAULTS[fault]})
    up.world.add(one)
    joined(up, one)
    up.world.graph_faults({"match": _BATCH, **_FAULTS[fault]})
    up.world.disable(one)
    left(up, one)


def test_old_answers_from_a_lagging_replica_start_nothing_twice(up: Product) -> None:
    """Positive evidence acts at once; what a replica still says about an earlier state reverses nothing."""
    one = made(up, "Stella Stale")
    up.world.add(one)
    joined(up, one)
    up.world.disable(one)
    left(up, one)
    up.world.graph_faults({"match": {}, "fault": "stale_read", "delay": 4, "times": 6})
    for number in range(3):
        up.world.change(one, jobTitle=f"Title {number}")
    other = made(up, "Oscar Other")
    up.world.add(other)
    joined(up, other)
    left(up, one)


def test_a_start_while_the_directory_is_down_waits_for_it(tmp_path: Path) -> None:
    """Ours starts first; health is 503 until the directory is there, and then everything goes on by itself."""
    it = Product.lay_out(tmp_path, apart=True)
    try:
        it.start_stand_ins()
        assert it.stand_ins is not None
        it.stand_ins.kill()
        it.ours.start()
        wait_until("it says that it waits", lambda: "waiting for" in it.ours.output, explain=lambda: it.ours.output)
        assert it.ours.code is None, it.ours.output
        assert it.health()[0] == 503
        it.start_stand_ins()
        it.wait_ready()
        one = made(it, "Dora Down")
        it.world.add(one)
        joined(it, one)
    finally:
        it.end()


def test_a_deleted_subscription_comes_back_with_the_next_start(tmp_path: Path) -> None:
    with product(tmp_path) as it:
        for row in it.world.graph("GET", "/subscriptions")["value"]:
            it.world.graph("DELETE", f"/subscriptions/{row['id']}")
        it.restart()
        assert len(it.world.graph("GET", "/subscriptions")["value"]) == 2
        one = made(it, "Sue Subscribed")
        it.world.add(one)
        joined(it, one)
        assert it.health()[1]["received"] >= 1
