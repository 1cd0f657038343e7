"""Settings: all findings at once, each with its place and remedy, and no secret in any output."""

from __future__ import annotations

from datetime import timedelta

import pytest

from joinery.errors import ConfigurationError
from joinery.settings import Secret, Settings


def findings(environ: dict[str, str], **given: object) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment(environ, **given)
    assert all(finding.remedy for finding in caught.value.findings)
    return [finding.place for finding in caught.value.findings]


def test_an_empty_environment_is_the_desk() -> None:
    settings = Settings.from_environment({})
    assert (settings.store, settings.queue, settings.port, settings.graph_port, settings.halo_port) == (
        "sqlite",
        "embedded",
        7071,
        7081,
        7082,
    )


def test_what_is_given_on_the_command_line_wins() -> None:
    assert Settings.from_environment({"JOINERY_PORT": "1000"}, port=2000).port == 2000
    assert Settings.from_environment({"JOINERY_PORT": "1000"}, port=None).port == 1000


def test_every_wrong_value_is_found_at_once() -> None:
    places = findings(
        {
            "JOINERY_STORE": "tables",
            "JOINERY_QUEUE": "servicebus",
            "JOINERY_PORT": "many",
            "JOINERY_DEPLOYMENT": "two words",
            "JOINERY_GRAPH_URL": "http://graph.example",
            "JOINERY_SETTLE_SECONDS": "-1",
            "JOINERY_SEARCH_LAG_SECONDS": "nan",
            "JOINERY_CLIENT_STATE": "x" * 129,
        }
    )
    assert len(places) == 8 and len(set(places)) == 8


def test_another_store_lists_what_there_is() -> None:
    with pytest.raises(ConfigurationError, match="sqlite"):
        Settings.from_environment({"JOINERY_STORE": "tables"})


def test_a_misspelt_name_is_told() -> None:
    assert findings({"JOINERY_PROT": "7071"}) == ["JOINERY_PROT"]


def test_secrets_are_stars_wherever_they_are_shown() -> None:
    settings = Settings.from_environment({"JOINERY_CLIENT_STATE": "hush-hush", "JOINERY_HALO_CLIENT_SECRET": "hush-too"})
    assert "hush" not in f"{settings} {settings!r} {settings.shown()}"
    assert settings.client_state.reveal() == "hush-hush"
    assert not Secret("") and repr(Secret("")) == "(not set)"


def test_the_search_lag_follows_the_desk_unless_it_is_set() -> None:
    assert Settings.from_environment({"JOINERY_HALO_URL": "https://halo.example"}).search_lag == timedelta(seconds=60)
    assert Settings.from_environment({"JOINERY_HALO_URL": "http://127.0.0.1:7082"}).search_lag == timedelta(seconds=2)
    assert Settings.from_environment({"JOINERY_SEARCH_LAG_SECONDS": "5"}).search_lag == timedelta(seconds=5)
