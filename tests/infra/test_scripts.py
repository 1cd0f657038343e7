"""The scripts of infra/ against something that answers like the Azure CLI: what they grant, what they keep secret, what they leave behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.servers

ROOT = Path(__file__).resolve().parents[2]
USERS, GROUPS, MEMBERS = (
    "df021288-bdef-4463-88db-98f22de89214",
    "5b567255-7703-4780-807c-7be8301ae99b",
    "dbaae8cf-10b5-4b86-a4a1-f871c94c6695",
)
SESSIONS = "77f3a031-c388-4f99-b373-dc68676a979e"
MADE = {"client-state", "client-state-previous", "desk-webhook-secret", "desk-webhook-password"}


class Cloud:
    """The state behind the pretended `az`, and how to run a script in front of it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.json"
        (folder / "bin").mkdir()
        az = folder / "bin" / "az"
        az.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "tests" / "infra" / "az.py"}" "$@"\n')
        az.chmod(0o755)
        self._environ = {
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "FAKE_AZ": str(self._path),
            "RETRY_SECONDS": "0",
            "VAULT_NAME": "kv",
            "IDENTITY_PRINCIPAL_ID": "app-principal",
            "FUNCTION_APP_NAME": "func",
            "RESOURCE_GROUP_NAME": "rg",
            "JOINERY_DEPLOYMENT": "prod",
            "JOINERY_PUBLIC_URL": "https://func.example",
        }
        self.put(granted={}, secrets={}, calls=[])

    def put(self, **state: Any) -> None:
        self._path.write_text(json.dumps({**(self.state if self._path.exists() else {}), **state}))

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(self._path.read_text())

    def run(self, script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        words = ["sh", str(ROOT / "infra" / script), *arguments]
        return subprocess.run(words, env=self._environ | environ, capture_output=True, text=True, check=False, timeout=60, input="typed\n")


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


def test_the_app_may_read_users_and_groups_and_nothing_else(cloud: Cloud) -> None:
    done = cloud.run("grant-graph.sh")
    assert (done.returncode, done.stdout) == (0, "graph: User.Read.All is granted\ngraph: Group.Read.All is granted\n"), done.stderr
    assert set(cloud.state["granted"]) == {USERS, GROUPS}
    posts = [call for call in cloud.state["calls"] if "post" in call]
    assert all('"principalId": "app-principal", "resourceId": "graph-principal"' in call for call in posts)
    assert all("https://graph.microsoft.com/v1.0/servicePrincipals/app-principal/appRoleAssignments" in call for call in posts)


def test_given_again_it_grants_only_what_is_missing_and_takes_all_of_it_away(cloud: Cloud) -> None:
    cloud.run("grant-graph.sh")
    done = cloud.run("grant-graph.sh", "--remove-members", JOINERY_CLOUD="us-gov")
    assert done.stdout.splitlines()[-1] == "graph: GroupMember.ReadWrite.All is granted"
    assert set(cloud.state["granted"]) == {USERS, GROUPS, MEMBERS}
    assert len([call for call in cloud.state["calls"] if "post" in call]) == 3
    assert "https://graph.microsoft.us/v1.0/" in cloud.state["calls"][-1]

    assert cloud.run("grant-graph.sh", "--revoke").returncode == 0
    assert cloud.state["granted"] == {}


def test_whoever_is_named_gets_it_and_not_the_identity_that_is_there_anyway(cloud: Cloud) -> None:
    assert cloud.run("grant-graph.sh", "--to", "other", "--writes", WRITER_PRINCIPAL_ID="writer-principal").returncode == 0
    assert cloud.run("grant-graph.sh", "--writes", "--revoke", "--to", "other").returncode == 0
    posts = [call for call in cloud.state["calls"] if "post" in call]
    assert posts and all('"principalId": "other"' in call for call in posts)


def test_whoever_writes_may_end_memberships_and_sessions_and_read_nothing(cloud: Cloud) -> None:
    assert cloud.run("grant-graph.sh", "--writes").returncode != 0
    done = cloud.run("grant-graph.sh", "--writes", WRITER_PRINCIPAL_ID="writer-principal")
    assert done.returncode == 0, done.stderr
    assert set(cloud.state["granted"]) == {MEMBERS, SESSIONS}
    assert all('"principalId": "writer-principal"' in call for call in cloud.state["calls"] if "post" in call)
    assert cloud.run("grant-graph.sh", "--writes", "--revoke", WRITER_PRINCIPAL_ID="writer-principal").returncode == 0
    assert cloud.state["granted"] == {}


def test_a_check_grants_nothing_and_names_what_is_missing_and_what_is_too_much(cloud: Cloud) -> None:
    cloud.put(granted={USERS: "1", "mail": "2", "elsewhere": "3"})
    done = cloud.run("grant-graph.sh", "--check")
    assert done.returncode == 1 and done.stdout.splitlines() == [
        "graph: Group.Read.All is not granted, and needed",
        "graph: Mail.Read is granted, and not needed",
        "graph: the app role elsewhere is granted, and not needed",
    ], done.stderr
    cloud.put(granted={USERS: "1", GROUPS: "2", MEMBERS: "3"})
    assert cloud.run("grant-graph.sh", "--check").returncode == 1
    done = cloud.run("grant-graph.sh", "--check", "--remove-members")
    assert (done.returncode, done.stdout) == (0, "graph: exactly what is needed is granted\n")
    assert not [call for call in cloud.state["calls"] if "post" in call or "delete" in call]


def test_what_the_guide_says_is_granted_is_what_the_script_grants() -> None:
    script, guide = ((ROOT / "infra" / name).read_text() for name in ("grant-graph.sh", "README.md"))
    first = script[script.index("grants='") : script.index("members='")]
    table = guide[guide.index("| permission | for |") : guide.index("Not granted, and why:")]
    assert re.findall(r"^(\w+\.Read\.All) ", first, re.MULTILINE) == re.findall(r"^\| `([\w.]+)`", table, re.MULTILINE)


def test_secrets_are_made_once_and_no_secret_is_an_argument(cloud: Cloud) -> None:
    done = cloud.run("secrets.sh")
    assert done.returncode == 0, done.stderr
    secrets = cloud.state["secrets"]
    assert secrets["halo-client-secret"] == "typed" and set(secrets) == MADE | {"halo-client-secret"}
    assert all(re.fullmatch("[0-9a-f]{64}", secrets[name]) for name in MADE) and len(set(secrets.values())) == 5

    cloud.run("secrets.sh", HALO_CLIENT_SECRET="another")
    assert cloud.state["secrets"] == secrets
    shown = done.stdout + done.stderr + " ".join(cloud.state["calls"])
    assert not any(secret in shown for secret in secrets.values() if secret != "typed") and "typed" not in shown


def test_a_new_client_state_keeps_the_one_before_beside_it(cloud: Cloud) -> None:
    cloud.put(secrets={"client-state": "old", "client-state-previous": "older"})
    assert cloud.run("secrets.sh", "state").returncode == 0
    after = cloud.state["secrets"]
    assert after["client-state-previous"] == "old" and len(after["client-state"]) == 64
    assert cloud.state["calls"][-1].startswith("functionapp restart")


def test_where_the_present_client_state_cannot_be_read_nothing_is_changed(cloud: Cloud) -> None:
    cloud.put(secrets={"client-state-previous": "older"})
    assert cloud.run("secrets.sh", "state").returncode != 0
    assert cloud.state["secrets"] == {"client-state-previous": "older"}


@pytest.mark.parametrize(("ends", "tries"), [(0, 1), (1, 6)])
def test_the_baseline_leaves_no_app_registration_behind(cloud: Cloud, tmp_path: Path, ends: int, tries: int) -> None:
    joinery, seen = tmp_path / "joinery", tmp_path / "seen"
    joinery.write_text(f'#!/bin/sh\necho "$1 $JOINERY_GRAPH_CLIENT_ID $JOINERY_GRAPH_CLIENT_SECRET" >>"{seen}"\nexit {ends}\n')
    joinery.chmod(0o755)
    done = cloud.run("baseline.sh", JOINERY=str(joinery))
    assert done.returncode == ends, done.stderr
    assert seen.read_text() == "baseline new-app new-secret\n" * tries
    assert set(cloud.state["granted"]) == {USERS, GROUPS}
    assert cloud.state["calls"][-1] == "ad app delete --id new-app"
