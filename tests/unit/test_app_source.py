"""Where the functions get their App from: built once, replaceable, and patient with a message that cannot be handled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from joinery.app_source import REDELIVERY_PAUSE, AppSource
from joinery.engine.envelope import Envelope, EnvelopeKind, person_subject
from joinery.errors import ConfigurationError, Finding, QueueUnavailable
from joinery.testing import TENANT, World

WRONG = ConfigurationError([Finding(place="JOINERY_HALO_URL", problem="is 'ftp://secret'", remedy="Use https.")])


def never() -> Any:
    raise WRONG


def test_the_app_is_built_once_and_only_when_it_is_needed() -> None:
    built: list[World] = []

    def build() -> Any:
        built.append(World())
        return built[-1].app

    source = AppSource(build)
    assert built == []
    assert source() is source()
    assert len(built) == 1


def test_an_app_that_could_not_be_built_is_built_when_it_can_be() -> None:
    world, tries = World(), [1]

    def build() -> Any:
        return never() if tries.pop() else world.app

    source = AppSource(build)
    with pytest.raises(ConfigurationError):
        source()
    tries.append(0)
    assert source() is world.app


def test_a_message_that_fails_is_held_before_the_platform_hears_of_it() -> None:
    """It would come again at once, a hundred times in seconds, and then be a dead letter."""
    naps: list[float] = []
    source = AppSource(never, sleep=naps.append)
    with pytest.raises(ConfigurationError):
        source.handle(b"{}", enqueued_at=None)
    assert naps == [REDELIVERY_PAUSE.total_seconds()]


def test_a_message_that_is_handled_is_not_held() -> None:
    naps: list[float] = []
    world = World()
    AppSource(lambda: world.app, sleep=naps.append).handle(b"nothing that anybody understands", enqueued_at=datetime.now(UTC))
    assert naps == []
    assert len(list(world.app.parking.listed())) == 1


def test_a_host_of_ours_hears_of_a_failure_at_once() -> None:
    """Its queue is the one that failed; whoever stops it should not wait."""
    naps: list[float] = []
    source = AppSource(never, sleep=naps.append)

    class Broken:
        def handle(self, body: bytes, *, enqueued_at: datetime | None) -> None:
            raise QueueUnavailable("the bus does not answer")

    broken: Any = Broken()
    source.use(broken)
    with pytest.raises(QueueUnavailable):
        source.handle(b"{}", enqueued_at=None)
    assert naps == []
    source.use(None)
    with pytest.raises(ConfigurationError):
        source.handle(b"{}", enqueued_at=None)
    assert naps == [REDELIVERY_PAUSE.total_seconds()]


def test_a_host_of_ours_that_handles_what_a_bus_delivers_holds_a_failure_too() -> None:
    naps: list[float] = []
    world = World()
    world.queue.unavailable = True
    source = AppSource(never, sleep=naps.append)
    source.use(world.app, pauses=True)
    world.store.unavailable = True
    look = Envelope(tenant=TENANT, subject=person_subject("ada"), kind=EnvelopeKind.LOOK, cause="test", at=world.clock.now())
    with pytest.raises(QueueUnavailable):
        source.handle(look.encode(), enqueued_at=None)
    assert naps == [REDELIVERY_PAUSE.total_seconds()]


def test_health_names_the_settings_that_are_wrong_and_not_their_values() -> None:
    """Anybody may ask for it; values are for the log."""
    assert AppSource(never).health() == (False, {"ready": False, "waiting_for": ["JOINERY_HALO_URL"]})


def test_a_hundred_tries_of_a_message_leave_time_to_mend_a_setting() -> None:
    assert 100 * REDELIVERY_PAUSE.total_seconds() >= 15 * 60
