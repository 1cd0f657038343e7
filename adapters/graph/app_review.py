"""Our own application in Entra ID, looked at: what it may do, when what it signs in with ends, and which subscriptions it holds."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from adapters.graph.client import GraphClient
from adapters.graph.subscriptions import PAGES_MAX, Subscription
from adapters.graph.token import TokenSource
from joinery.domain.moments import in_utc
from joinery.errors import Refused, TryLater


class _Claims(msgspec.Struct):
    #: The application permissions; missing where there is none ("access-token-claims-reference").
    roles: list[str] = []


class _Secret(msgspec.Struct, rename="camel"):
    end_date_time: datetime | None = None
    #: The first three characters, which is how a person tells secrets apart ("passwordCredential resource type").
    hint: str | None = None


class _Application(msgspec.Struct, rename="camel"):
    password_credentials: list[_Secret] = []


class _Page(msgspec.Struct, rename="camel"):
    value: list[Subscription]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


_CLAIMS = msgspec.json.Decoder(_Claims)
_APPLICATION = msgspec.json.Decoder(_Application)
_PAGE = msgspec.json.Decoder(_Page)
_ANYTHING = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphAppReview:
    """Asks with the application's own token, and changes nothing. Every method raises TryLater or Refused."""

    client: GraphClient
    tokens: TokenSource
    client_id: str
    #: The file that we sign in with, and its password, where it is a certificate.
    certificate: str = ""
    certificate_password: str = field(default="", repr=False)

    def granted(self) -> frozenset[str] | None:
        """The ``roles`` claim of a token of ours; None where the token is none that can be read.

        Microsoft calls an access token opaque to whoever asked for it, and this is the one place that looks into one: its list is what
        Graph goes by, while assignments may take a day to show ("how-to-assign-app-role-managed-identity").
        """
        parts = self.tokens.token().split(".")
        if len(parts) != 3:
            return None
        try:
            return frozenset(_CLAIMS.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))).roles)
        except (ValueError, msgspec.MsgspecError):
            return None

    def read_people(self) -> None:
        """Read one person's id."""
        self.client.read("GET", "/users?$top=1&$select=id", _ANYTHING)

    def read_groups(self) -> None:
        """Read one group's id."""
        self.client.read("GET", "/groups?$top=1&$select=id", _ANYTHING)

    def secret_ends(self, secret: str) -> datetime | None:
        """When this client secret ends: the one whose hint fits, or else the last to end of those that show none. None where there is none.

        "Get application" by its appId; least permission ``Application.Read.All``. Refused without it.
        """
        path = f"/applications(appId='{self.client_id}')?$select=passwordCredentials"
        secrets = self.client.read("GET", path, _APPLICATION).password_credentials
        fitting = (
            [one for one in secrets if one.hint and secret.startswith(one.hint)] or [one for one in secrets if not one.hint] or secrets
        )
        return max((in_utc(one.end_date_time) for one in fitting if one.end_date_time), default=None)

    def certificate_end(self) -> datetime:
        """The end of the first certificate in the file that we sign in with, which is the one that azure-identity takes."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import pkcs12

        password = self.certificate_password.encode() or None
        try:
            content = Path(self.certificate).read_bytes()
            if b"-----BEGIN" in content:
                found: x509.Certificate | None = x509.load_pem_x509_certificate(content)
            else:
                found = pkcs12.load_key_and_certificates(content, password)[1]
        except (OSError, ValueError) as error:
            raise Refused(f"the certificate cannot be read from its file ({type(error).__name__})") from None
        if found is None:
            raise Refused("the file holds no certificate")
        return found.not_valid_after_utc

    def subscriptions(self, notification_url: str) -> Mapping[str, datetime]:
        """Resource (``/users``, ``/groups``) -> when the last subscription to it that points to this address ends.

        "List subscriptions" shows an application its own.
        """
        path, ends = "/subscriptions", dict[str, datetime]()
        for _ in range(PAGES_MAX):
            page = self.client.read("GET", path, _PAGE)
            for one in page.value:
                if one.notification_url == notification_url and one.expiration_date_time:
                    resource, end = f"/{(one.resource or '').strip('/').lower()}", in_utc(one.expiration_date_time)
                    ends[resource] = max(end, ends.get(resource, end))
            if not page.next_link:
                return ends
            path = self.client.relative(page.next_link)
        raise TryLater(f"Graph sent more than {PAGES_MAX} pages of subscriptions")
