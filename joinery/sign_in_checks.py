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
    by_certificate = settings.graph_credential == "certificate"
    if by_certificate and not settings.graph_certificate:
        yield (
            "graph_certificate",
            "is not set, and JOINERY_GRAPH_CREDENTIAL=certificate needs it",
            "Name a PEM or PKCS 12 file with the key in it.",
        )
    elif by_certificate and not Path(settings.graph_certificate).is_file():
        yield "graph_certificate", f"is {settings.graph_certificate!r}, where no file is", "Name a PEM or PKCS 12 file with the key in it."
    for name in ("graph_certificate", "graph_certificate_password"):
        if getattr(settings, name) and not by_certificate:
            remedy = "Set JOINERY_GRAPH_CREDENTIAL=certificate, or remove this one."
            yield name, f"is set, but JOINERY_GRAPH_CREDENTIAL is {settings.graph_credential!r}", remedy
    if settings.identity_client_id and not _GUID.fullmatch(settings.identity_client_id):
        yield "identity_client_id", f"is {settings.identity_client_id!r}", "Use the client id that the portal shows beside the identity."


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
