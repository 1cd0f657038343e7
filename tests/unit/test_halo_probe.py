"""A probe finds out what one Halo does differently, says so in a profile, and leaves nothing behind."""

from __future__ import annotations

import pytest
from halo_sandbox import Sandbox, not_well

from adapters.halo.tenant_profile import TenantProfile


@pytest.fixture(scope="module")
def probed():
    """One probe of a Halo with default habits, for the tests that only look."""
    halo = Sandbox()
    before = halo.world()
    result = halo.probe()
    yield halo, before, result
    halo.stand_in.stop()


def test_in_a_halo_with_usual_habits_all_fifteen_steps_go_well_and_the_profile_is_the_default(probed):
    _, _, result = probed
    assert not_well(result) == {}
    assert [one.number for one in result.steps] == list(range(1, 16))
    assert result.profile == TenantProfile()
    assert result.version == "2.250.1"


def test_whatever_a_probe_touched_is_as_it_was(probed):
    halo, before, result = probed
    assert result.left == ()
    assert halo.world() == before
    [ticket] = halo.get("/Tickets")["tickets"]
    assert ticket["hasbeenclosed"]
