"""Which cloud the directory lives in and how we sign in to it: what a cloud stands for, and what may be wrong with the settings about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joinery.settings import Settings

#: Cloud -> root of Graph, and where tokens for it come from ("deployments"). GCC without High is the global one. Tokens do not cross clouds.
CLOUDS = {
    "global": ("https://graph.microsoft.com", "https://login.microsoftonline.com"),
    "us-gov": ("https://graph.microsoft.us", "https://login.microsoftonline.us"),
    "us-gov-dod": ("https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
    "china": ("https://microsoftgraph.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
}
#: Ways to sign in.
CREDENTIALS = ("secret", "certificate", "managed-identity")

#: What a policy that cuts leavers off in the directory needs of a real Graph.
NEEDED_TO_WRITE = {
    "graph_write_credential": "The policy cuts leavers off in the directory ([leaver.directory]): give that an identity of its own, with"
    " JOINERY_GRAPH_WRITE_CREDENTIAL=managed-identity and JOINERY_GRAPH_WRITE_IDENTITY, or leave the table out."
}

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def in_cloud(values: dict[str, Any]) -> dict[str, Any]:
    """Settings with what their cloud stands for, where no address was given."""
    graph, authority = CLOUDS.get(values.get("cloud", ""), ("", ""))
    named = {"graph_url": graph, "graph_authority": authority}
    return values | {name: address for name, address in named.items() if address and not values.get(name)}


def wrong_about_sign_in(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """(field, problem, remedy) of each thing that does not fit. No secret is repeated."""
    if settings.cloud and settings.cloud not in CLOUDS:
        yield "cloud", f"is {settings.cloud!r}", f"Use one of: {', '.join(CLOUDS)}."
    if settings.graph_credential not in CREDENTIALS:
        yield "graph_credential", f"is {settings.graph_credential!r}", f"Use one of: {', '.join(CREDENTIALS)}."
    yield from _wrong_about_certificate(settings, "graph")
    yield from _wrong_about_certificate(settings, "graph_write")
    yield from _wrong_about_writing(settings)
    for name in ("identity_client_id", "graph_write_identity"):
        if getattr(settings, name) and not _GUID.fullmatch(getattr(settings, name)):
            yield name, f"is {getattr(settings, name)!r}", "Use the client id that the portal shows beside the identity."


def _wrong_about_certificate(settings: Settings, prefix: str) -> Iterator[tuple[str, str, str]]:
    """Of whoever reads, or of whoever writes."""
    credential, setting = getattr(settings, f"{prefix}_credential"), f"JOINERY_{prefix.upper()}_CREDENTIAL"
    names = (f"{prefix}_certificate", f"{prefix}_certificate_password")
    file, remedy = getattr(settings, names[0]), "Name a PEM or PKCS 12 file with the key in it."
    if credential == "certificate" and not file:
        yield names[0], f"is not set, and {setting}=certificate needs it", remedy
    elif credential == "certificate" and not Path(file).is_file():
        yield names[0], f"is {file!r}, where no file is", remedy
    for name in names:
        if getattr(settings, name) and credential != "certificate":
            yield name, f"is set, but {setting} is {credential!r}", f"Set {setting}=certificate, or remove this one."


def _wrong_about_writing(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Whoever writes is somebody else than whoever reads, and says who."""
    credential = settings.graph_write_credential
    if credential and credential not in CREDENTIALS:
        yield "graph_write_credential", f"is {credential!r}", f"Use one of: {', '.join(CREDENTIALS)}."
        return
    needed = {"secret": ("graph_write_client_id", "graph_write_client_secret"), "certificate": ("graph_write_client_id",)}.get(
        credential, ()
    )
    for name in needed:
        if not getattr(settings, name):
            remedy = "Use what Entra shows of the application that writes."
            yield name, f"is not set, and JOINERY_GRAPH_WRITE_CREDENTIAL={credential} needs it", remedy
    for name in ("graph_write_client_id", "graph_write_client_secret", "graph_write_identity"):
        if getattr(settings, name) and (not credential or (name == "graph_write_identity") != (credential == "managed-identity")):
            remedy = "Set JOINERY_GRAPH_WRITE_CREDENTIAL to the way that needs it, or remove this one."
            yield name, f"is set, but JOINERY_GRAPH_WRITE_CREDENTIAL is {credential!r}", remedy
    if credential and _reader(settings) == _writer(settings):
        yield (
            "graph_write_credential",
            "names the identity that reads: a slip while reading could then write",
            "Use another application or managed identity, with the two permissions that docs/edges/graph.md names and no others.",
        )


def _reader(settings: Settings) -> str:
    """The client id that we read as; empty for the machine's own identity."""
    by_machine = settings.graph_credential == "managed-identity"
    return (settings.identity_client_id if by_machine else settings.graph_client_id).casefold()


def _writer(settings: Settings) -> str:
    by_machine = settings.graph_write_credential == "managed-identity"
    return (settings.graph_write_identity if by_machine else settings.graph_write_client_id).casefold()


def needed_to_sign_in(settings: Settings) -> dict[str, str]:
    """Field -> remedy of what a real Graph needs, by the way we sign in."""
    needs = {
        "graph_authority": "Name your cloud in JOINERY_CLOUD, e.g. global; or use https://login.microsoftonline.com, or that of your cloud.",
        "graph_tenant": "Use the tenant's id or one of its domains, e.g. contoso.onmicrosoft.com.",
        "public_url": "Use the https address under which Graph reaches the functions, without /api.",
    }
    if settings.graph_credential != "managed-identity":
        needs["graph_client_id"] = "Use the application (client) id that Entra shows."
    if settings.graph_credential == "secret":
        needs["graph_client_secret"] = "Use a client secret that was made in Entra."  # noqa: S105 - a remedy
    return needs
