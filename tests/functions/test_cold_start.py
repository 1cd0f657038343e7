"""What a cold instance loads, and when: little to be indexed, nothing for the web or for the control plane to answer the first post."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from worker_client import ROOT

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("functions-worker")]

#: The whole of it: the SDK of Functions, what it needs, and four files of ours.
INDEXING = {
    *("azure", "azure.functions", "werkzeug", "markupsafe", "typing_extensions"),
    *("function_app", "wiring", "joinery", "joinery.app_source", "joinery.errors"),
}
#: Adapters, engine and policy are ours; httpx brings what it finds (a command line of its own, HTTP/2), pydantic reads the policy.
FIRST_NOTIFICATION = INDEXING | {
    *("adapters", "workflows"),
    *("httpx", "httpcore", "h11", "h2", "hpack", "hyperframe", "anyio", "sniffio", "certifi", "idna", "click", "rich", "pygments"),
    *("markdown_it", "mdurl", "msgspec", "pydantic", "pydantic_core", "annotated_types", "typing_inspection", "tenacity"),
}
#: What a process carries that was started by a developer: the finder of an editable install and the like.
NOT_COUNTED = ("__", "_distutils_hack", "_sysconfigdata", "_virtualenv", "sitecustomize", "usercustomize")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Stage -> packages, in an environment with the least settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JOINERY_", "PYTEST_", "COV_"))}
    environment |= {
        "JOINERY_DATA": str(tmp_path_factory.mktemp("cold")),
        "JOINERY_PUBLIC_URL": "https://joinery.example",
        "JOINERY_CLIENT_STATE": "c" * 64,
    }
    script = str(Path(__file__).with_name("cold_start.py"))
    ran = subprocess.run([sys.executable, script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return {stage: {name for name in names if not name.startswith(NOT_COUNTED)} for stage, names in json.loads(ran.stdout).items()}


def test_importing_the_function_app_loads_the_sdk_of_functions_and_nothing_else_and_needs_no_setting(loaded: dict[str, set[str]]) -> None:
    assert loaded["import"] <= INDEXING, loaded["import"] - INDEXING


def test_the_first_notification_loads_neither_graphs_sdk_nor_identities_nor_a_web_framework(loaded: dict[str, set[str]]) -> None:
    theirs = {name for name in loaded["notification"] if not name.startswith("joinery.")}
    assert theirs <= FIRST_NOTIFICATION, theirs - FIRST_NOTIFICATION


def test_the_first_message_loads_nothing_that_the_first_notification_did_not(loaded: dict[str, set[str]]) -> None:
    assert loaded["message"] == loaded["notification"]


def test_importing_it_takes_no_setting_from_the_environment() -> None:
    """Indexing must not fail where a setting is missing: the function that needs it says which."""
    ran = subprocess.run([sys.executable, "-c", "import function_app"], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
