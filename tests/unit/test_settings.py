"""Settings: all findings at once, each with its place and remedy, and no secret in any output."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

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
            "JOINERY_STORE": "cosmos",
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


def test_a_value_from_the_command_line_is_reported_as_the_option_that_was_typed() -> None:
    assert findings({"JOINERY_PORT": "1000"}, port=-1, settle_seconds=-3.0, graph_url="foo", halo_port=70_000) == [
        "--graph-url",
        "--port",
        "--halo-port",
        "--settle-seconds",
    ]
    assert findings({"JOINERY_PORT": "-1"}, port=None) == ["JOINERY_PORT"]
    assert findings({}, port="many") == ["--port"]


@pytest.mark.parametrize(
    "url",
    [
        "http://[bad",
        "https://[bad]",
        "http://127.0.0.1:99999",
        "https://graph.example:many",
        "https://graph.example:0",
        "http://127.evil.example",
        "http://localhost.evil.example",
        "http://128.0.0.1",
        "https://two words.example",
        "https://",
        "https://joinery..example",
        f"https://{'x' * 64}.example",
        "graph.example",
        "ftp://graph.example",
        "https://graph.example?tenant=1",
    ],
)
def test_an_address_that_cannot_be_one_is_a_finding(url: str) -> None:
    assert findings({"JOINERY_GRAPH_URL": url}) == ["JOINERY_GRAPH_URL"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:7081",
        "http://127.3.2.1",
        "http://[::1]:7081",
        "http://LOCALHOST:1",
        "https://graph.example:8443/x",
        "https://graph.example.",
    ],
)
def test_an_address_on_this_machine_or_with_encryption_is_sound(url: str) -> None:
    assert Settings.from_environment({"JOINERY_GRAPH_URL": url}).graph_url == url


@pytest.mark.parametrize("url", ["https://me:hush-hush@halo.example", "https://:hush-hush@[bad", "https://halo.example/#hush-hush"])
def test_a_finding_about_an_address_repeats_no_secret(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment({"JOINERY_HALO_URL": url})
    assert "hush" not in str(caught.value)


def test_what_real_addresses_need_is_missed_all_at_once() -> None:
    graph = {"JOINERY_GRAPH_URL": "https://graph.invalid"}
    halo = {"JOINERY_HALO_URL": "https://halo.invalid"}
    needed_by_graph = {f"JOINERY_GRAPH_{name}" for name in ("AUTHORITY", "TENANT", "CLIENT_ID", "CLIENT_SECRET")} | {"JOINERY_PUBLIC_URL"}
    needed_by_halo = {"JOINERY_HALO_CLIENT_ID", "JOINERY_HALO_CLIENT_SECRET"}

    def missing(environ: dict[str, str]) -> set[str]:
        return {finding.place for finding in Settings.from_environment(environ).missing()}

    assert missing(graph) == needed_by_graph and missing(halo) == needed_by_halo
    assert missing(graph | halo) == needed_by_graph | needed_by_halo
    assert missing({"JOINERY_GRAPH_URL": "http://127.0.0.1:7081", "JOINERY_HALO_URL": "http://localhost:7082"}) == missing({}) == set()
    given = {name: "https://given.invalid" if name.endswith(("AUTHORITY", "URL")) else "given" for name in needed_by_graph | needed_by_halo}
    assert missing(graph | halo | given) == set()


def test_another_store_lists_what_there_is() -> None:
    with pytest.raises(ConfigurationError, match="sqlite, tables"):
        Settings.from_environment({"JOINERY_STORE": "cosmos"})


TABLES = {"JOINERY_STORE": "tables"}
ACCOUNT = "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=aHVzaC1odXNo;EndpointSuffix=core.windows.net"


@pytest.mark.parametrize(
    "environ",
    [
        TABLES | {"JOINERY_TABLES_URL": "https://acme.table.core.windows.net"},
        TABLES | {"JOINERY_TABLES_CONNECTION": ACCOUNT},
        TABLES | {"JOINERY_TABLES_CONNECTION": f"{ACCOUNT};TableEndpoint=http://127.0.0.1:10002/acme;"},
        TABLES | {"JOINERY_TABLES_CONNECTION": "TableEndpoint=https://acme.table.core.windows.net;SharedAccessSignature=sv=2019&sig=a%3D"},
        TABLES | {"JOINERY_TABLES_CONNECTION": "UseDevelopmentStorage=true", "JOINERY_TABLES_NAME": "joineryTest2"},
    ],
)
def test_tables_are_reached_by_address_or_by_connection_string(environ: dict[str, str]) -> None:
    assert Settings.from_environment(environ).store == "tables"


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        (TABLES, "URL"),
        (TABLES | {"JOINERY_TABLES_URL": "https://acme.example", "JOINERY_TABLES_CONNECTION": ACCOUNT}, "CONNECTION"),
        ({"JOINERY_TABLES_URL": "https://acme.example"}, "URL"),
        ({"JOINERY_TABLES_CONNECTION": ACCOUNT}, "CONNECTION"),
        (TABLES | {"JOINERY_TABLES_URL": "http://127.0.0.1:10002"}, "URL"),
        (TABLES | {"JOINERY_TABLES_URL": "acme.example"}, "URL"),
        (TABLES | {"JOINERY_TABLES_CONNECTION": "hush-hush"}, "CONNECTION"),
        (TABLES | {"JOINERY_TABLES_CONNECTION": "AccountName=acme;AccountKey="}, "CONNECTION"),
        (TABLES | {"JOINERY_TABLES_CONNECTION": "AccountName=acme;AccountKey=hush-hush"}, "CONNECTION"),
        (TABLES | {"JOINERY_TABLES_CONNECTION": f"{ACCOUNT};TableEndpoint=http://acme.example"}, "CONNECTION"),
        (TABLES | {"JOINERY_TABLES_CONNECTION": ACCOUNT, "JOINERY_TABLES_NAME": "2-tables"}, "NAME"),
    ],
)
def test_what_does_not_fit_about_tables_is_a_finding_that_repeats_no_key(environ: dict[str, str], place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment(environ)
    assert [finding.place for finding in caught.value.findings] == [f"JOINERY_TABLES_{place}"]
    assert "hush" not in str(caught.value) and "aHVzaC1odXNo" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"JOINERY_SEALS_URL": "https://acme.blob.core.windows.net"}, "JOINERY_SEALS_URL"),
        ({"JOINERY_SEALS_URL": "https://acme.blob.core.windows.net/seals/more"}, "JOINERY_SEALS_URL"),
        ({"JOINERY_SEALS_URL": "http://127.0.0.1:10000/seals"}, "JOINERY_SEALS_URL"),
        ({"JOINERY_SEALS_URL": "https://acme.blob.core.windows.net/seals?sig=hush-hush"}, "JOINERY_SEALS_URL"),
        ({"JOINERY_SEALS_URL": "https://acme.blob.core.windows.net/seals", "JOINERY_SEAL_FILE": "/mnt/seals"}, "JOINERY_SEALS_URL"),
        ({"JOINERY_SEALS_CONNECTION": ACCOUNT, "JOINERY_SEAL_FILE": "/mnt/seals"}, "JOINERY_SEALS_CONNECTION"),
        ({"JOINERY_SEALS_CONNECTION": "hush-hush"}, "JOINERY_SEALS_CONNECTION"),
        ({"JOINERY_SEALS_CONNECTION": f"{ACCOUNT};BlobEndpoint=http://acme.example"}, "JOINERY_SEALS_CONNECTION"),
    ],
)
def test_what_does_not_fit_about_the_seals_is_a_finding_that_repeats_no_key(environ: dict[str, str], place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment(environ)
    assert [finding.place for finding in caught.value.findings] == [place]
    assert "hush" not in str(caught.value) and "aHVzaC1odXNo" not in str(caught.value)


def test_the_seals_may_have_an_address_or_a_connection() -> None:
    url = "https://acme.blob.core.windows.net/joinery-seals"
    assert Settings.from_environment({"JOINERY_SEALS_URL": url}).seals_url == url
    blob_only = "BlobEndpoint=https://acme.blob.core.windows.net;SharedAccessSignature=sv=2019&sig=a%3D"
    assert Settings.from_environment({"JOINERY_SEALS_CONNECTION": blob_only}).seals_connection.reveal() == blob_only


def test_a_misspelt_name_is_told() -> None:
    assert findings({"JOINERY_PROT": "7071"}) == ["JOINERY_PROT"]


def test_a_variable_that_only_begins_with_our_name_is_nobodys_mistake() -> None:
    Settings.from_environment({"JOINERY_CAMPAIGN": "1", "JOINERY_HOME": "x"})


def test_secrets_are_stars_wherever_they_are_shown() -> None:
    settings = Settings.from_environment({"JOINERY_CLIENT_STATE": "hush-hush", "JOINERY_HALO_CLIENT_SECRET": "hush-too"})
    assert "hush" not in f"{settings} {settings!r} {settings.shown()}"
    assert settings.client_state.reveal() == "hush-hush"
    assert not Secret("") and repr(Secret("")) == "(not set)"


def test_the_search_lag_follows_the_desk_unless_it_is_set() -> None:
    assert Settings.from_environment({"JOINERY_HALO_URL": "https://halo.example"}).search_lag == timedelta(seconds=60)
    assert Settings.from_environment({"JOINERY_HALO_URL": "http://127.0.0.1:7082"}).search_lag == timedelta(seconds=2)
    assert Settings.from_environment({"JOINERY_SEARCH_LAG_SECONDS": "5"}).search_lag == timedelta(seconds=5)


WEBHOOK = {
    "JOINERY_DESK_WEBHOOK_SECRET": "0123456789abcdef0123456789abcdef",
    "JOINERY_DESK_WEBHOOK_USER": "halo",
    "JOINERY_DESK_WEBHOOK_PASSWORD": "open sesame",
}


def test_the_desks_webhook_needs_all_three_and_repeats_none() -> None:
    assert Settings.from_environment(WEBHOOK).desk_webhook_paths == ("object_id", "ticket_id", "id", "ticket.id", "faultid")
    for name in WEBHOOK:
        with pytest.raises(ConfigurationError, match=f"{name}: is not set"):
            Settings.from_environment({other: value for other, value in WEBHOOK.items() if other != name})
    for change, place in (
        ({"JOINERY_DESK_WEBHOOK_SECRET": "open-sesame"}, "JOINERY_DESK_WEBHOOK_SECRET"),
        ({"JOINERY_DESK_WEBHOOK_SECRET": "open/sesame" * 4}, "JOINERY_DESK_WEBHOOK_SECRET"),
        ({"JOINERY_DESK_WEBHOOK_USER": "ha:lo"}, "JOINERY_DESK_WEBHOOK_USER"),
        ({"JOINERY_DESK_WEBHOOK_MEMBERS": "id,,ticket.id"}, "JOINERY_DESK_WEBHOOK_MEMBERS"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            Settings.from_environment({**WEBHOOK, **change})
        [finding] = refused.value.findings
        assert finding.place == place
        assert "sesame" not in str(finding)


# --- which cloud, and how we sign in ---


@pytest.mark.parametrize(
    ("cloud", "graph", "login"),
    [
        ("global", "https://graph.microsoft.com", "https://login.microsoftonline.com"),
        ("us-gov", "https://graph.microsoft.us", "https://login.microsoftonline.us"),
        ("us-gov-dod", "https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
        ("china", "https://microsoftgraph.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
    ],
)
def test_a_cloud_stands_for_the_addresses_of_graph_and_of_its_sign_in(cloud: str, graph: str, login: str) -> None:
    settings = Settings.from_environment({"JOINERY_CLOUD": cloud})
    assert (settings.graph_url, settings.graph_authority) == (graph, login)


def test_an_address_that_is_given_wins_over_the_clouds() -> None:
    settings = Settings.from_environment({"JOINERY_CLOUD": "us-gov", "JOINERY_GRAPH_URL": "https://graph.proxy.example"})
    assert (settings.graph_url, settings.graph_authority) == ("https://graph.proxy.example", "https://login.microsoftonline.us")
    settings = Settings.from_environment({"JOINERY_CLOUD": "us-gov"}, graph_url="http://127.0.0.1:7081")
    assert settings.graph_url == "http://127.0.0.1:7081"
    assert Settings.from_environment({}).graph_url == ""


def test_a_cloud_or_a_way_to_sign_in_that_does_not_exist_is_a_finding() -> None:
    wrong = {"JOINERY_CLOUD": "mars", "JOINERY_GRAPH_CREDENTIAL": "hope", "AZURE_CLIENT_ID": "my-identity"}
    assert findings(wrong) == ["JOINERY_CLOUD", "JOINERY_GRAPH_CREDENTIAL", "AZURE_CLIENT_ID"]


def test_a_certificate_needs_its_file_and_a_file_needs_that_way_to_sign_in(tmp_path: Path) -> None:
    by_certificate = {"JOINERY_GRAPH_CREDENTIAL": "certificate"}
    assert findings(by_certificate) == ["JOINERY_GRAPH_CERTIFICATE"]
    assert findings(by_certificate | {"JOINERY_GRAPH_CERTIFICATE": str(tmp_path / "none.pem")}) == ["JOINERY_GRAPH_CERTIFICATE"]
    (tmp_path / "key.pem").write_text("pem", encoding="utf-8")
    named = {"JOINERY_GRAPH_CERTIFICATE": str(tmp_path / "key.pem"), "JOINERY_GRAPH_CERTIFICATE_PASSWORD": "pa55"}
    assert "pa55" not in str(Settings.from_environment(by_certificate | named).shown())
    assert findings(named) == ["JOINERY_GRAPH_CERTIFICATE", "JOINERY_GRAPH_CERTIFICATE_PASSWORD"]


@pytest.mark.parametrize(
    ("credential", "needed"),
    [
        ("secret", {"JOINERY_GRAPH_CLIENT_ID", "JOINERY_GRAPH_CLIENT_SECRET"}),
        ("certificate", {"JOINERY_GRAPH_CLIENT_ID"}),
        ("managed-identity", set()),
    ],
)
def test_each_way_to_sign_in_needs_its_own_and_no_more(credential: str, needed: set[str], tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("pem", encoding="utf-8")
    environ = {"JOINERY_CLOUD": "global", "JOINERY_GRAPH_CREDENTIAL": credential}
    if credential == "certificate":
        environ["JOINERY_GRAPH_CERTIFICATE"] = str(tmp_path / "key.pem")
    missing = {finding.place for finding in Settings.from_environment(environ).missing() if "GRAPH" in finding.place}
    assert missing == {"JOINERY_GRAPH_TENANT"} | needed


READER, WRITER = "3f0c0000-0000-0000-0000-000000000001", "3f0c0000-0000-0000-0000-000000000002"


@pytest.mark.parametrize(
    ("environ", "places"),
    [
        ({}, []),
        ({"CREDENTIAL": "secret", "CLIENT_ID": WRITER, "CLIENT_SECRET": "s"}, []),
        ({"CREDENTIAL": "managed-identity", "IDENTITY": WRITER}, []),
        ({"CREDENTIAL": "hope"}, ["CREDENTIAL"]),
        ({"CREDENTIAL": "secret"}, ["CLIENT_ID", "CLIENT_SECRET"]),
        ({"CREDENTIAL": "certificate", "CLIENT_ID": WRITER}, ["CERTIFICATE"]),
        ({"CLIENT_ID": WRITER}, ["CLIENT_ID"]),
        ({"CREDENTIAL": "managed-identity", "IDENTITY": "mine"}, ["IDENTITY"]),
        ({"CREDENTIAL": "secret", "CLIENT_ID": READER.upper(), "CLIENT_SECRET": "s"}, ["CREDENTIAL"]),
    ],
)
def test_whoever_writes_to_the_directory_says_who_and_is_not_whoever_reads(environ: dict[str, str], places: list[str]) -> None:
    named = {f"JOINERY_GRAPH_WRITE_{name}": value for name, value in environ.items()} | {"JOINERY_GRAPH_CLIENT_ID": READER}
    if places:
        assert findings(named) == [f"JOINERY_GRAPH_WRITE_{place}" for place in places]
    else:
        Settings.from_environment(named)


def test_a_managed_identity_that_reads_and_writes_is_a_finding() -> None:
    both = {"JOINERY_GRAPH_CREDENTIAL": "managed-identity", "JOINERY_GRAPH_WRITE_CREDENTIAL": "managed-identity"}
    assert findings(both) == ["JOINERY_GRAPH_WRITE_CREDENTIAL"]
    Settings.from_environment(both | {"AZURE_CLIENT_ID": READER, "JOINERY_GRAPH_WRITE_IDENTITY": WRITER})


def test_a_policy_that_cuts_off_needs_somebody_who_writes_where_graph_is_real() -> None:
    real = Settings.from_environment({"JOINERY_CLOUD": "global"})
    place = "JOINERY_GRAPH_WRITE_CREDENTIAL"
    assert place in {one.place for one in real.missing(writes=True)} and place not in {one.place for one in real.missing()}
    assert Settings.from_environment({"JOINERY_GRAPH_URL": "http://127.0.0.1:7081"}).missing(writes=True) == []
    named = {"JOINERY_CLOUD": "global", place: "managed-identity", "JOINERY_GRAPH_WRITE_IDENTITY": WRITER}
    assert place not in {one.place for one in Settings.from_environment(named).missing(writes=True)}
