"""Settings: the environment, read once at the door into a frozen record. Nothing below the door reads the environment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from joinery.errors import ConfigurationError, Finding
from joinery.place_checks import wrong_about_places
from joinery.setting_checks import bad_alert_url, bad_url, on_loopback
from joinery.sign_in_checks import NEEDED_TO_WRITE, in_cloud, needed_to_sign_in, wrong_about_sign_in

#: What there is to choose from.
STORES, QUEUES = ("sqlite", "tables"), ("embedded", "servicebus")
#: Variables that only the command reads.
COMMAND_ONLY = ("JOINERY_EMPTY", "JOINERY_NO_PLAY")


class Secret:
    """A text that prints as stars."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "********" if self._value else "(not set)"


def _setting(env: str, default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"env": env, "help": help_text})


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything that differs between one deployment and another. Each field names its environment variable and what it means."""

    deployment: str = _setting(
        "JOINERY_DEPLOYMENT", "local", "name of this deployment, part of every key; letters, digits and -, at most 20"
    )
    policy: Path = _setting("JOINERY_POLICY", Path("config/policy.toml"), "the policy file")
    store: str = _setting(
        "JOINERY_STORE", "sqlite", "where state is kept: sqlite (a file in the data folder) or tables (Azure Table Storage)"
    )
    tables_url: str = _setting(
        "JOINERY_TABLES_URL", "", "https://ACCOUNT.table.core.windows.net, entered as the managed identity of this machine"
    )
    tables_connection: Secret = _setting(
        "JOINERY_TABLES_CONNECTION", Secret(""), "connection string of a storage account, in place of the address; for the emulator too"
    )
    tables_name: str = _setting("JOINERY_TABLES_NAME", "joinery", "name of the table; 3 to 63 letters and digits")
    queue: str = _setting(
        "JOINERY_QUEUE", "embedded", "what carries messages: embedded (a file in the data folder) or servicebus (Azure Service Bus)"
    )
    bus_connection: Secret = _setting(
        "ServiceBusConnection", Secret(""), "connection string of the Service Bus namespace, for the emulator; the functions' own setting"
    )
    bus_namespace: str = _setting(
        "ServiceBusConnection__fullyQualifiedNamespace", "", "NAME.servicebus.windows.net, entered as the managed identity of this machine"
    )
    bus_client_id: str = _setting("ServiceBusConnection__clientId", "", "client id of that identity, where it is a user-assigned one")
    data: Path = _setting("JOINERY_DATA", Path(".joinery"), "folder of the SQLite files and of the stand-ins' state")
    seal_file: str = _setting(
        "JOINERY_SEAL_FILE", "", "file, or folder of seals.jsonl, in which the audit is sealed; empty: seals.jsonl in the data folder"
    )
    seals_url: str = _setting(
        "JOINERY_SEALS_URL",
        "",
        "https://ACCOUNT.blob.core.windows.net/CONTAINER, in which the audit is sealed instead, entered as the managed identity of this machine",
    )
    seals_connection: Secret = _setting(
        "JOINERY_SEALS_CONNECTION", Secret(""), "connection string, in place of that address; the container is called seals"
    )
    seal_minutes: float = _setting("JOINERY_SEAL_MINUTES", 15.0, "how often the audit is sealed, in minutes; 0: at every tick")
    queue_name: str = _setting("JOINERY_QUEUE_NAME", "person-messages", "name of the session queue")
    port: int = _setting("JOINERY_PORT", 7071, "port of the functions in `joinery up`")
    graph_port: int = _setting("JOINERY_GRAPH_PORT", 7081, "port of the pretend Graph in `joinery up`")
    halo_port: int = _setting("JOINERY_HALO_PORT", 7082, "port of the pretend Halo in `joinery up`")
    public_url: str = _setting(
        "JOINERY_PUBLIC_URL", "", "address under which Graph reaches the functions, without /api; locally made from the port"
    )
    cloud: str = _setting(
        "JOINERY_CLOUD",
        "",
        "which Microsoft cloud, for Graph and for signing in: global (GCC too), us-gov, us-gov-dod or china; empty: none",
    )
    graph_url: str = _setting(
        "JOINERY_GRAPH_URL", "", "root of Graph without /v1.0; empty: that of the cloud, or the stand-in of `joinery up`"
    )
    graph_authority: str = _setting(
        "JOINERY_GRAPH_AUTHORITY", "", "where tokens for Graph come from; empty: that of the cloud, or graph_url"
    )
    graph_credential: str = _setting(
        "JOINERY_GRAPH_CREDENTIAL", "secret", "how we sign in to Graph: secret, certificate or managed-identity"
    )
    graph_tenant: str = _setting("JOINERY_GRAPH_TENANT", "local", "Entra tenant: id or domain")
    graph_client_id: str = _setting("JOINERY_GRAPH_CLIENT_ID", "local", "application (client) id in Entra")
    graph_client_secret: Secret = _setting("JOINERY_GRAPH_CLIENT_SECRET", Secret("local"), "client secret in Entra")
    graph_certificate: str = _setting("JOINERY_GRAPH_CERTIFICATE", "", "file with certificate and RSA key, PEM or PKCS 12")
    graph_certificate_password: Secret = _setting("JOINERY_GRAPH_CERTIFICATE_PASSWORD", Secret(""), "password of that file, if it has one")
    graph_write_credential: str = _setting(
        "JOINERY_GRAPH_WRITE_CREDENTIAL",
        "",
        "how we sign in to Graph as whoever writes there: secret, certificate or managed-identity; empty: as for reading, and no leaver is cut off",
    )
    graph_write_client_id: str = _setting("JOINERY_GRAPH_WRITE_CLIENT_ID", "", "application (client) id of whoever writes to the directory")
    graph_write_client_secret: Secret = _setting("JOINERY_GRAPH_WRITE_CLIENT_SECRET", Secret(""), "its client secret")
    graph_write_certificate: str = _setting("JOINERY_GRAPH_WRITE_CERTIFICATE", "", "its file with certificate and RSA key, PEM or PKCS 12")
    graph_write_certificate_password: Secret = _setting("JOINERY_GRAPH_WRITE_CERTIFICATE_PASSWORD", Secret(""), "password of that file")
    graph_write_identity: str = _setting(
        "JOINERY_GRAPH_WRITE_IDENTITY", "", "client id of the managed identity that writes to the directory; empty: the machine's own"
    )
    identity_client_id: str = _setting(
        "AZURE_CLIENT_ID", "", "client id of the managed identity that was assigned to this machine; empty: the machine's own"
    )
    halo_url: str = _setting("JOINERY_HALO_URL", "", "root of Halo without /api; empty: the stand-in of `joinery up`")
    halo_auth_url: str = _setting("JOINERY_HALO_AUTH_URL", "", "Halo's authorisation server; empty: halo_url/auth")
    halo_tenant: str = _setting("JOINERY_HALO_TENANT", "", "Halo tenant for the token request, if it needs one")
    halo_scope: str = _setting("JOINERY_HALO_SCOPE", "all", "scope of the token request")
    halo_client_id: str = _setting("JOINERY_HALO_CLIENT_ID", "joinery", "client id of the API application in Halo")
    halo_client_secret: Secret = _setting("JOINERY_HALO_CLIENT_SECRET", Secret("local"), "client secret of the API application in Halo")
    halo_key_field: str = _setting("JOINERY_HALO_KEY_FIELD", "CFjoineryKey", "custom field of Halo's tickets that holds the key")
    halo_profile: str = _setting(
        "JOINERY_HALO_PROFILE", "", "file that says what this Halo does differently (config/halo.example.toml); empty: the defaults"
    )
    halo_calls: int | None = _setting(
        "JOINERY_HALO_CALLS",
        None,
        "calls to Halo in any 5 minutes, all workers together, 25 to 700; default 300, with the stand-ins 700; 0: a Halo without a limit",
    )
    client_state: Secret = _setting("JOINERY_CLIENT_STATE", Secret(""), "secret that proves a notification; `joinery up` makes one")
    client_state_previous: Secret = _setting("JOINERY_CLIENT_STATE_PREVIOUS", Secret(""), "the one before, valid during rotation")
    desk_webhook_secret: Secret = _setting(
        "JOINERY_DESK_WEBHOOK_SECRET",
        Secret(""),
        "last part of /api/desk-events/SECRET, to which Halo's webhook posts; at least 32 characters; empty: the door is closed",
    )
    desk_webhook_user: str = _setting("JOINERY_DESK_WEBHOOK_USER", "", "user name that Halo's webhook sends (basic authentication)")
    desk_webhook_password: Secret = _setting("JOINERY_DESK_WEBHOOK_PASSWORD", Secret(""), "password that Halo's webhook sends")
    desk_webhook_members: str = _setting(
        "JOINERY_DESK_WEBHOOK_MEMBERS",
        "object_id,ticket_id,id,ticket.id,faultid",
        "where a ticket's id may stand in what Halo's webhook posts: paths with dots, with commas between",
    )
    settle_seconds: float | None = _setting("JOINERY_SETTLE_SECONDS", None, "settle time and second look, instead of policy's")
    call_deadline_seconds: float = _setting("JOINERY_CALL_DEADLINE_SECONDS", 10.0, "total time of one live call")
    search_lag_seconds: float | None = _setting(
        "JOINERY_SEARCH_LAG_SECONDS", None, "how long a new ticket may stay invisible to searches; default 60, with the stand-ins 2"
    )
    alert_url: Secret = _setting(
        "JOINERY_ALERT_URL", Secret(""), "where each new cause of alerts is posted as JSON; empty: nowhere. It is a secret"
    )
    twin_check_seconds: float = _setting("JOINERY_TWIN_CHECK_SECONDS", 900.0, "how long after each create twins are looked for")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **given: object) -> Settings:
        """Read every variable; ``given`` (from the command line, under the option's name) wins where it is not None.

        Raises:
            ConfigurationError: with every finding.
        """
        values: dict[str, Any] = {}
        findings: list[Finding] = []
        for one in fields(cls):
            env = one.metadata["env"]
            raw = given.get(one.name)
            text = str(raw) if raw is not None else environ.get(env)
            if text is None or (text == "" and one.default is not None):
                continue
            try:
                values[one.name] = _parse(str(one.type), text)
            except ValueError as error:
                place = _place(one.name, env, given)
                findings.append(Finding(place=place, problem=f"is {text!r}", remedy=f"{error}; it is the {one.metadata['help']}."))
        findings += _misspelt(environ, {one.metadata["env"] for one in fields(cls)} | set(COMMAND_ONLY))
        settings = cls(**in_cloud(values))
        findings += settings._wrong(given)
        if findings:
            raise ConfigurationError(findings)
        return settings

    def _wrong(self, given: Mapping[str, object]) -> list[Finding]:
        findings = []

        def wrong(name: str, problem: str, remedy: str) -> None:
            env = next(one.metadata["env"] for one in fields(self) if one.name == name)
            findings.append(Finding(place=_place(name, env, given), problem=problem, remedy=remedy))

        if self.store not in STORES:
            wrong("store", f"is {self.store!r}", f"Use one of: {', '.join(STORES)}.")
        if self.queue not in QUEUES:
            wrong("queue", f"is {self.queue!r}", f"Use one of: {', '.join(QUEUES)}.")
        if not re.fullmatch(r"[A-Za-z0-9-]{1,20}", self.deployment):
            wrong("deployment", f"is {self.deployment!r}", "Use 1 to 20 letters, digits and hyphens, e.g. prod-eu.")
        if not re.fullmatch(r"[A-Za-z0-9.-]{1,64}", self.graph_tenant):
            wrong("graph_tenant", f"is {self.graph_tenant!r}", "Use the tenant's id or one of its domains, e.g. contoso.onmicrosoft.com.")
        for name, problem, remedy in (
            *wrong_about_sign_in(self),
            *wrong_about_places(self),
            *self._wrong_about_the_desk_webhook(),
        ):
            wrong(name, problem, remedy)
        for name in ("public_url", "graph_url", "graph_authority", "halo_url", "halo_auth_url"):
            if problem := bad_url(getattr(self, name)):
                wrong(name, problem, "Use https://host (http is allowed on loopback only), without a query.")
        if problem := bad_alert_url(self.alert_url.reveal()):
            wrong("alert_url", problem, "Use the https address that your chat channel or pager gives for incoming messages.")
        for name in ("port", "graph_port", "halo_port"):
            if not 0 <= getattr(self, name) <= 65535:
                wrong(name, f"is {getattr(self, name)}", "Use a port from 1 to 65535, or 0 for a free one.")
        for name, low, high in (
            ("settle_seconds", 0, 86_400),
            ("call_deadline_seconds", 0.2, 60),
            ("search_lag_seconds", 0, 600),
            ("twin_check_seconds", 0, 86_400),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                wrong(name, f"is {value:g}", f"Use a number of seconds from {low:g} to {high:g}.")
        if self.halo_calls is not None and self.halo_calls != 0 and not 25 <= self.halo_calls <= 700:
            remedy = "Use 25 to 700: with fewer some steps never get the calls they need; 0 means that Halo has no limit."
            wrong("halo_calls", f"is {self.halo_calls}", remedy)
        if not 0 <= self.seal_minutes <= 1440:
            wrong("seal_minutes", f"is {self.seal_minutes:g}", "Use a number of minutes from 0 (at every tick) to 1440.")
        for name in ("client_state", "client_state_previous"):
            if len(getattr(self, name).reveal()) > 128:
                wrong(name, "is longer than 128 characters", "Graph keeps at most 128; 64 hexadecimal digits are plenty.")
        return findings

    def _wrong_about_the_desk_webhook(self) -> Iterator[tuple[str, str, str]]:
        """(field, problem, remedy) of each thing that does not fit. No secret is repeated."""
        needed = ("desk_webhook_secret", "desk_webhook_user", "desk_webhook_password")
        given = [name for name in needed if getattr(self, name)]
        for name in needed if given else ():
            if name not in given:
                yield name, "is not set, and the webhook needs all three", "Set it as in Halo's webhook, or remove the other two."
        if self.desk_webhook_secret and not re.fullmatch(r"[A-Za-z0-9_-]{32,128}", self.desk_webhook_secret.reveal()):
            remedy = "Use 32 to 128 letters, digits, - and _; 64 random hexadecimal digits are plenty."
            yield "desk_webhook_secret", "is too short, too long, or does not fit into an address", remedy
        if ":" in self.desk_webhook_user:
            yield "desk_webhook_user", "holds a colon, which ends a user name", "Use letters and digits."
        if not all(re.fullmatch(r"\w+(\.\w+)*", path) for path in self.desk_webhook_paths):
            yield "desk_webhook_members", f"is {self.desk_webhook_members!r}", "Use names like object_id,ticket.id."

    def missing(self, *, writes: bool = False) -> list[Finding]:
        """What a real Graph or a real Halo needs, and nobody has set: the credentials of the stand-ins open no other door.

        ``writes``: policy cuts leavers off in the directory.
        """
        needs: dict[str, str] = {}
        if not on_loopback(self.graph_url):
            needs |= needed_to_sign_in(self) | (NEEDED_TO_WRITE if writes else {})
        if not on_loopback(self.halo_url):
            needs |= {
                "halo_client_id": "Use the client id that Halo shows beside its API application.",
                "halo_client_secret": "Use the secret that Halo showed when the API application was made.",
            }
        return [
            Finding(
                place=one.metadata["env"],
                problem=f"is not set, and a {'Halo' if one.name.startswith('halo') else 'Graph'} that is not on this machine needs it",
                remedy=needs[one.name],
            )
            for one in fields(self)
            if one.name in needs and getattr(self, one.name) == one.default
        ]

    def check_complete(self, *, writes: bool = False) -> None:
        """Raise ConfigurationError for what a deployment must name, with every finding; ``writes`` as in ``missing``."""
        needs = {
            "graph_url": "Use https://graph.microsoft.com; `joinery up` starts a stand-in by itself.",
            "halo_url": "Use https://YOURS.haloitsm.com; `joinery up` starts a stand-in by itself.",
            "public_url": "Use the address of the function app, e.g. https://joinery.azurewebsites.net.",
            "client_state": "Use 64 random hexadecimal digits; `joinery up` makes them by itself.",
        }
        unset = [one for one in fields(self) if one.name in needs and not getattr(self, one.name)]
        findings = [Finding(place=one.metadata["env"], problem="is not set", remedy=needs[one.name]) for one in unset] + self.missing(
            writes=writes
        )
        if findings:
            raise ConfigurationError(findings)

    # --- what follows from the fields ---

    @property
    def call_deadline(self) -> timedelta:
        """Total time of one live call."""
        return timedelta(seconds=self.call_deadline_seconds)

    @property
    def seals(self) -> Path:
        """The file in which the audit is sealed."""
        given = Path(self.seal_file) if self.seal_file else self.data
        return given / "seals.jsonl" if not self.seal_file or given.is_dir() else given

    @property
    def search_lag(self) -> timedelta:
        """How long a new ticket may stay invisible to searches."""
        if self.search_lag_seconds is not None:
            return timedelta(seconds=self.search_lag_seconds)
        return timedelta(seconds=2 if on_loopback(self.halo_url) else 60)

    @property
    def call_budget(self) -> int | None:
        """Calls to Halo in any 5 minutes, all workers together; None where there is no limit."""
        if self.halo_calls is None:
            return 700 if on_loopback(self.halo_url) else 300
        return self.halo_calls or None

    @property
    def desk_webhook_paths(self) -> tuple[str, ...]:
        """Where a ticket's id may stand in what the desk posts."""
        return tuple(path.strip() for path in self.desk_webhook_members.split(","))

    def shown(self) -> list[tuple[str, str, str]]:
        """(environment variable, value with secrets as stars, meaning) of every setting."""
        return [(one.metadata["env"], _text(getattr(self, one.name)), one.metadata["help"]) for one in fields(self)]


def _parse(kind: str, text: str) -> Any:
    if kind.startswith("int"):
        return int(text) if re.fullmatch(r"-?\d{1,9}", text.strip()) else _refuse("Use a whole number")
    if kind.startswith("float"):
        try:
            return float(text)
        except ValueError:
            return _refuse("Use a number")
    if kind == "Path":
        return Path(text)
    if kind == "Secret":
        return Secret(text)
    return text.strip()


def _misspelt(environ: Mapping[str, str], known: set[str]) -> list[Finding]:
    """Variables that look like a setting with a slip of the pen. Others may begin with our name for reasons of their own."""
    findings = []
    for name in sorted(set(environ) - known):
        meant = get_close_matches(name, known, n=1, cutoff=0.85) if name.startswith("JOINERY_") else []
        if meant:
            findings.append(Finding(place=name, problem="is no setting that Joinery knows", remedy=f"Did you mean {meant[0]}?"))
    return findings


def _refuse(sentence: str) -> Any:
    raise ValueError(sentence)


def _text(value: object) -> str:
    if value is None or value == "":
        return "(not set)"
    return repr(value) if isinstance(value, Secret) else str(value)


def _place(name: str, env: str, given: Mapping[str, object]) -> str:
    """What the user wrote: the option where the value came from the command line, else the variable."""
    return f"--{name.replace('_', '-')}" if given.get(name) is not None else env
