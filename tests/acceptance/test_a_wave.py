"""Forty of four hundred are disabled within a minute: most wait for a person, the urgent one does not, and nothing happens twice."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from product import ROOT, Product, product, wait_until
from world import Someone

# A tick carries out what was released: up to a minute, on a machine with other things to do.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

PEOPLE, WAVE, URGENT = 400, 40, "ITSM-UrgentLeaver"
SETTINGS = {
    "JOINERY_POLICY": str(ROOT / "config" / "policy.toml"),
    "JOINERY_HALO_CLIENT_ID": "local",
    "JOINERY_HALO_CALLS": "0",
    "JOINERY_CALL_DEADLINE_SECONDS": "2",
    "JOINERY_SEARCH_LAG_SECONDS": "0.3",
    "JOINERY_TWIN_CHECK_SECONDS": "6",
}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Product, list[Someone]]]:
    """Four hundred people who work here and were taken in on the first day; the policy as it is shipped."""
    with product(Path(tmp_path_factory.mktemp("wave")), settings=SETTINGS) as it:
        people = [it.world.person(f"Wave {number:03d}", department=f"Department {number % 20}") for number in range(PEOPLE)]
        done = it.command("baseline")
        assert done.returncode == 0, done.stderr
        # Whatever notifications were faster than the baseline, everybody is known by the end of it.
        wait_until("everybody's look is through", lambda: it.health()[1]["queued"] == 0, within=180, explain=it.story)
        it.restart()
        yield it, people


def offboardings(it: Product) -> Counter[str]:
    """Name -> how many offboarding tickets."""
    return Counter(row["summary"].removeprefix("Offboarding: ").partition(" [")[0] for row in it.world.tickets("Offboarding: "))


def test_the_excess_is_held_the_urgent_passes_and_release_runs_the_rest_once(company: tuple[Product, list[Someone]]) -> None:
    it, people = company
    assert it.health()[1]["open_runs"] == 0 and offboardings(it) == Counter()
    leaving = people[:WAVE]
    urgent = leaving[-1]
    it.world.add(urgent, URGENT)
    began = time.monotonic()
    for one in leaving:
        it.world.disable(one)
    assert time.monotonic() - began < 60
    # 1 % of 400 is less than 5, and the urgent one passes whether five went before or not.
    at_most = 6
    held = wait_until(
        "the rest is held", lambda: (count := it.health()[1]["held"]) >= WAVE - at_most and count, within=120, explain=it.story
    )
    wait_until("those who may leave have left", lambda: len(offboardings(it)) == WAVE - held, within=120, explain=it.story)
    it.wait_quiet(within=120)
    passed = offboardings(it)
    assert held in (WAVE - 5, WAVE - 6) and urgent.name in passed
    assert set(passed.values()) == {1}
    listed = json.loads(it.command("held", "list", "--json").stdout)
    # Whoever is held is counted against the company of that moment: those who have left are in it no more.
    assert len(listed) == held and all(re.search(r"\b5 may, of (400|39[4-9]) active people", one["why"]) for one in listed)
    assert all("open the offboarding ticket" in one["steps"]["leaver"] for one in listed), "what would happen is listed"
    alerts = wait_until("the alert's ticket", lambda: it.world.tickets("Joinery needs a person"), within=60, explain=it.story)
    assert ["the breaker holds" in row["summary"] for row in alerts] == [True], "one for the whole wave"
    still = next(one for one in leaving if one.name not in passed)
    assert not it.world.users_of(still) and it.tale(still).count("  held ") == 1

    done = it.command("held", "release", "--all", "--reason", "HR confirms")
    assert done.returncode == 0 and f"Released: {held} changes" in done.stdout
    wait_until("everybody has left", lambda: len(offboardings(it)) == WAVE, within=240, explain=it.story)
    it.wait_quiet(within=120)
    assert it.health()[1]["held"] == 0
    it.restart()
    it.wait_quiet(within=120)
    assert offboardings(it) == Counter({one.name: 1 for one in leaving})
