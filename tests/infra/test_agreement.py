"""What infra/ makes is what the code is written for; each thing that could drift is made to drift once, in a copy."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from check_infra.everything import findings_in

ROOT = Path(__file__).resolve().parents[2]
MODULES = "infra/modules"
SWEEP = """'AppRequests | where Name == "sweep" and Success"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the checker reads, apart from the code."""
    copy = tmp_path_factory.mktemp("original")
    shutil.copytree(ROOT / "infra", copy / "infra")
    for name in ("azure.yaml", ".funcignore"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def test_what_is_in_the_repository_has_no_finding() -> None:
    assert [str(one) for one in findings_in(ROOT)] == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        # the queue
        (f"{MODULES}/bus.bicep", "requiresSession: true", "requiresSession: false", "requiresSession is false"),
        (f"{MODULES}/bus.bicep", "maxDeliveryCount: 100", "maxDeliveryCount: 10", "maxDeliveryCount is 10"),
        (f"{MODULES}/bus.bicep", "'PT1M'", "'PT5M'", "lockDuration is 'PT5M'"),
        (f"{MODULES}/bus.bicep", "'PT10M'", "'P7D'", "duplicateDetectionHistoryTimeWindow is 'P7D'"),
        (f"{MODULES}/bus.bicep", "defaultMessageTimeToLive: 'P14D'\n", "", "defaultMessageTimeToLive is not set"),
        (f"{MODULES}/bus.bicep", "requiresSession: true", "requiresSession: true\n      enablePartitioning: true", "enablePartitioning is nothing"),
        # the settings
        (f"{MODULES}/functions.bicep", "JOINERY_CLIENT_STATE: '", "JOINERY_CLIENT_SATTE: '", "nobody reads JOINERY_CLIENT_SATTE"),
        (f"{MODULES}/functions.bicep", "JOINERY_CLIENT_STATE: '", "// '", "JOINERY_CLIENT_STATE is not set"),
        (f"{MODULES}/functions.bicep", "      JOINERY_HALO_URL: haloUrl\n", "", "JOINERY_HALO_URL is not set"),
        (f"{MODULES}/functions.bicep", "      JOINERY_HALO_CLIENT_ID: haloClientId\n", "", "JOINERY_HALO_CLIENT_ID is not set"),
        (f"{MODULES}/functions.bicep", "      JOINERY_TABLES_URL: tablesUrl\n", "", "JOINERY_TABLES_URL is not set"),
        (f"{MODULES}/functions.bicep", "JOINERY_STORE: 'tables'", "JOINERY_STORE: 'table'", "JOINERY_STORE is 'table'"),
        (f"{MODULES}/functions.bicep", "      JOINERY_QUEUE_NAME: queueName\n", "", "JOINERY_QUEUE_NAME is not set"),
        (f"{MODULES}/functions.bicep", "ServiceBusConnection__full", "BusConnection__full", "ServiceBusConnection__fullyQualifiedNamespace is not set"),
        (f"{MODULES}/functions.bicep", "AzureWebJobsStorage__accountName", "AzureWebJobsStorage", "AzureWebJobsStorage__accountName is not set"),
        (f"{MODULES}/functions.bicep", "// the platform", "FUNCTIONS_WORKER_RUNTIME: 'python'", "FUNCTIONS_WORKER_RUNTIME must not be set"),
        (f"{MODULES}/functions.bicep", "var threads = 16", "var threads = 6", "6 threads for 8 sessions"),
        (f"{MODULES}/functions.bicep", "Concurrency: threads", "Concurrency: 100", "more calls at once than the 16 threads"),
        # the alarms
        (f"{MODULES}/alarms.bicep", SWEEP, SWEEP.replace("sweep", "swept"), "asks for 'swept', which is no function"),
        (f"{MODULES}/alarms.bicep", '"not sealed"', '"unsealed"', "asks for 'unsealed', which is no message"),
        (f"{MODULES}/alarms.bicep", '"handling failed" or', '"handling fails" or', "asks for 'handling fails', which is no message"),
        (f"{MODULES}/alarms.bicep", 'startswith "alert', '== "alert', "compares whole lines"),
        (f"{MODULES}/alarms.bicep", "summarize found = dcount", "summarize minutes = dcount", "has no column found"),
        # types, roles and keys
        (f"{MODULES}/bus.bicep", "namespaces@2024-01-01", "namespaces@2024-01-31", "is no type and version that is known"),
        (f"{MODULES}/vault.bicep", "4633458b-17de-408a-b874-0445c86b69e6", "4633458b-17de-408a-b874-0445c86b69e7", "is no role that is known"),
        (f"{MODULES}/bus.bicep", "090c5cfd-751d-490a-894a-3ce6f1109419", "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39", "is the id of azureServiceBusDataSender"),
        (f"{MODULES}/bus.bicep", "  scope: namespace::queue\n", "", "appOwnsQueue grants for the whole resource group"),
        (f"{MODULES}/bus.bicep", "roleDefinitionId: azureServiceBusDataOwner", "roleDefinitionId: name", "appOwnsQueue grants no role by its name"),
        (f"{MODULES}/state.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "account does not say properties.allowSharedKeyAccess"),
        (f"{MODULES}/bus.bicep", "    disableLocalAuth: true\n", "", "namespace does not say properties.disableLocalAuth"),
        (f"{MODULES}/telemetry.bicep", "    DisableLocalAuth: true\n", "", "component does not say properties.DisableLocalAuth"),
        (f"{MODULES}/seals.bicep", "    allowProtectedAppendWrites: true\n", "", "policy does not say properties.allowProtectedAppendWrites"),
        (f"{MODULES}/state.bicep", "tableName string = account", "tableName string = account.listKeys().keys[0].value\noutput x string = account", "uses a key: listKeys"),
        ("infra/main.bicep", "directoryWrites ? 'managed-identity'", "directoryWrites ? 'hope'", "JOINERY_GRAPH_WRITE_CREDENTIAL is 'hope'"),
        # what is around
        ("azure.yaml", "  joinery:", "  joiner:", "has no function service that finds the app site"),
        ("azure.yaml", "infra/secrets.sh", "infra/secret.sh", "runs infra/secret.sh, which is not there"),
        ("infra/main.parameters.json", '"alertEmail"', '"alertMail"', "alertEmail has no default and no value"),
        ("infra/main.parameters.json", "${ALERT_EMAIL}", "${ALERT_ADDRESS}", "infra/README.md: does not tell of ALERT_ADDRESS"),
        (".funcignore", "simulators\n", "", "lets simulators be deployed"),
        (".funcignore", "tests\n", "tests\nadapters\n", "keeps adapters/graph/answers.py back, which the functions need"),
        (".funcignore", "tests\n", "tests\nconfig\n", "keeps config/policy.toml back"),
    ],
)  # fmt: skip
def test_what_drifts_is_found(original: Path, tmp_path: Path, file: str, old: str, new: str, said: str) -> None:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    before = (tmp_path / file).read_text()
    assert old in before
    (tmp_path / file).write_text(before.replace(old, new, 1))
    found = "\n".join(str(one) for one in findings_in(tmp_path))
    assert said in found


def test_operations_say_what_to_do_about_each_alarm() -> None:
    text = (ROOT / "infra" / "modules" / "alarms.bicep").read_text()
    alarms = {f"joinery-{name}" for name in re.findall(r"^    name: '([a-z-]+)'\n    says:", text, re.MULTILINE)}
    alarms |= set(re.findall(r"^  name: '(joinery-[a-z-]+)'$", text, re.MULTILINE))
    told = (ROOT / "docs" / "operations.md").read_text()
    assert len(alarms) == 9
    assert {name for name in alarms if f"`{name}`" not in told} == set()


def test_a_file_that_cannot_be_parsed_is_all_that_is_said(original: Path, tmp_path: Path) -> None:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    (tmp_path / "infra" / "main.bicep").write_text("param location string\nresource group 'x' = {\n")
    found = findings_in(tmp_path)
    assert found and all(one.place.startswith("infra/main.bicep:") for one in found)
