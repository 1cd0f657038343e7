"""What a cold instance loads, and when: little to be indexed, nothing for the web or for the control plane to answer the first post."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from worker_client import ROOT

from adapters.system import SystemClock
from simulators.service_bus.entities import Namespace
from simulators.service_bus.server import ServiceBus

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
#: What the SDK of the bus brings: requests is how it would fetch a token.
THE_BUS = {
    *("azure.servicebus", "azure.core", "isodate", "requests", "urllib3", "charset_normalizer", "chardet"),
    *("websocket", "multidict", "propcache", "yarl", "_cython_3_3_0", "cython_runtime"),
}
#: Stage -> packages that are loaded.
Stages = dict[str, set[str]]
#: What a process carries that was started by a developer: the finder of an editable install and the like.
NOT_COUNTED = ("__", "_distutils_hack", "_sysconfigdata", "_virtualenv", "sitecustomize", "usercustomize")


@pytest.fixture(scope="module")
def bus() -> Iterator[str]:
    """The connection string of a pretend Service Bus with the product's queue."""
    served = ServiceBus(Namespace({"queues": {"person-messages": {"requires_session": True}}}, SystemClock())).start()
    yield served.connection_string
    served.close()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """With the least settings, and the embedded queue."""
    return _stages(tmp_path_factory.mktemp("cold"))


@pytest.fixture(scope="module")
def loaded_with_the_bus(tmp_path_factory: pytest.TempPathFactory, bus: str) -> Stages:
    """With the queue that a deployment has."""
    return _stages(tmp_path_factory.mktemp("cold"), JOINERY_QUEUE="servicebus", ServiceBusConnection=bus)


def _stages(folder: Path, **settings: str) -> Stages:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JOINERY_", "PYTEST_", "COV_"))}
    environment |= {"JOINERY_DATA": str(folder), "JOINERY_PUBLIC_URL": "https://joinery.example", "JOINERY_CLIENT_STATE": "c" * 64}
    script = str(Path(__file__).with_name("cold_start.py"))
    ran = subprocess.run([sys.executable, script], cwd=ROOT, env=environment | settings, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return {stage: {name for name in names if not name.startswith(NOT_COUNTED)} for stage, names in json.loads(ran.stdout).items()}


def _theirs(packages: set[str]) -> set[str]:
    """Without the modules of our engine."""
    return {name for name in packages if not name.startswith("joinery.")}


def test_importing_the_function_app_loads_the_sdk_of_functions_and_nothing_else_and_needs_no_setting(loaded: Stages) -> None:
    assert loaded["import"] <= INDEXING, loaded["import"] - INDEXING


def test_the_first_notification_loads_neither_graphs_sdk_nor_identities_nor_a_web_framework(loaded: Stages) -> None:
    assert _theirs(loaded["notification"]) <= FIRST_NOTIFICATION, _theirs(loaded["notification"]) - FIRST_NOTIFICATION


def test_the_bus_brings_its_own_sdk_and_no_other(loaded_with_the_bus: Stages) -> None:
    """And the first notification is on it within the two seconds that one may take."""
    assert loaded_with_the_bus["import"] <= INDEXING
    first = _theirs(loaded_with_the_bus["notification"])
    assert "azure.servicebus" in first
    assert first <= FIRST_NOTIFICATION | THE_BUS, first - FIRST_NOTIFICATION - THE_BUS


def test_the_first_message_loads_nothing_that_the_first_notification_did_not(loaded: Stages, loaded_with_the_bus: Stages) -> None:
    assert loaded["message"] == loaded["notification"]
    assert loaded_with_the_bus["message"] == loaded_with_the_bus["notification"]


def test_importing_it_takes_no_setting_from_the_environment() -> None:
    """Indexing must not fail where a setting is missing: the function that needs it says which."""
    ran = subprocess.run([sys.executable, "-c", "import function_app"], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
