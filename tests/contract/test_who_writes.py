"""The whole product, put together from settings: it reads as one identity and writes to the directory as another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from joinery.domain.person import Person
from joinery.engine.ports import Directory
from joinery.errors import ConfigurationError, Refused
from joinery.serving import serve
from joinery.settings import Settings
from simulators.graph import create_graph
from wiring import Parts, build_app

pytestmark = pytest.mark.servers

WRITES = {
    "JOINERY_GRAPH_WRITE_CREDENTIAL": "secret",
    "JOINERY_GRAPH_WRITE_CLIENT_ID": "local-writer",
    "JOINERY_GRAPH_WRITE_CLIENT_SECRET": "local",
}


@pytest.fixture(scope="module")
def graph() -> Iterator[str]:
    """The address of a pretend Graph."""
    pretend = create_graph(None, notify=False)
    server = serve(pretend.wsgi)
    yield server.url
    server.close()
    pretend.close()


def built(graph: str, folder: Path, **writes: str) -> Parts:
    environ = {"JOINERY_GRAPH_URL": graph, "JOINERY_HALO_URL": "http://127.0.0.1:9", "JOINERY_PUBLIC_URL": "http://127.0.0.1:9"}
    return build_app(Settings.from_environment({**environ, "JOINERY_DATA": str(folder), "JOINERY_CLIENT_STATE": "s", **writes}))


def hire(graph: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": "local", "client_secret": "local", "scope": f"{graph}/.default"}
    token = httpx.post(f"{graph}/local/oauth2/v2.0/token", data=form).json()["access_token"]
    body = {"accountEnabled": True, "displayName": "Ann", "userPrincipalName": "ann@x.example", "mailNickname": "ann"}
    made = httpx.post(f"{graph}/v1.0/users", json=body, headers={"Authorization": f"Bearer {token}"})
    return str(made.json()["id"])


def test_a_write_needs_the_identity_that_writes_and_a_read_does_not(graph: str, tmp_path: Path) -> None:
    ann = hire(graph)
    wrong, right = (
        built(graph, tmp_path / "wrong", **{**WRITES, "JOINERY_GRAPH_WRITE_CLIENT_SECRET": "no"}),
        built(graph, tmp_path, **WRITES),
    )
    try:
        directory: Directory = wrong.app.dispatcher.directory
        assert isinstance(directory.look(ann, []), Person)
        with pytest.raises(Refused):
            directory.revoke_sessions(ann)
        assert directory.sessions_valid_from(ann) is None
        right.app.dispatcher.directory.revoke_sessions(ann)
        assert directory.sessions_valid_from(ann) is not None
    finally:
        wrong.close()
        right.close()


def test_a_policy_that_cuts_off_starts_nothing_at_a_real_graph_without_somebody_who_writes(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[leaver.directory]\nrevoke_sessions = true\n", encoding="utf-8")
    named = {"JOINERY_POLICY": str(policy), "JOINERY_CLOUD": "global", "JOINERY_GRAPH_TENANT": "contoso.example"}
    named |= {"JOINERY_GRAPH_CLIENT_ID": "reads", "JOINERY_GRAPH_CLIENT_SECRET": "s"}
    with pytest.raises(ConfigurationError) as caught:
        built("https://graph.invalid", tmp_path, **named)
    assert [finding.place for finding in caught.value.findings] == ["JOINERY_GRAPH_WRITE_CREDENTIAL"]
    assert "[leaver.directory]" in str(caught.value)
