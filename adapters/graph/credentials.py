"""Who we are to Graph: a secret, a certificate, or the managed identity of the machine we run on.

The secret is a flow of our own, because azure-identity beside httpx costs a cold start 210 ms; it is imported only for the other two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapters.graph.answers import Passing
from adapters.graph.token import CachedTokens, ClientCredentials
from joinery.engine.ports import Clock
from joinery.errors import Refused, TryLater

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

#: What there is to choose from.
SECRET, CERTIFICATE, MANAGED_IDENTITY = "secret", "certificate", "managed-identity"
#: azure-core would repeat a call for minutes; whoever asks for a token decides that.
_OPTIONS: Mapping[str, Any] = {"retry_total": 0, "connection_timeout": 3, "read_timeout": 8}
#: "A transient error has occurred" ("reference-error-codes").
_TRANSIENT = "AADSTS90033"


@dataclass(frozen=True, kw_only=True, slots=True)
class SignIn:
    """How we sign in: ``credential`` names the way, and each way reads what it needs of the rest."""

    credential: str
    authority: str
    tenant: str
    client_id: str
    #: The Graph root with ``/.default`` behind it.
    scope: str
    client_secret: str = field(default="", repr=False)
    #: A PEM or PKCS 12 file with certificate and private key (RSA).
    certificate: str = ""
    certificate_password: str = field(default="", repr=False)
    #: The client id of a user-assigned identity; empty: the machine's own.
    identity: str = ""


def tokens_of(sign_in: SignIn, clock: Clock | None = None, **options: Any) -> CachedTokens:
    """The tokens of a way to sign in. ``options`` go to azure-identity; tests name a transport there."""
    if sign_in.credential == SECRET:
        return ClientCredentials(
            authority=sign_in.authority,
            tenant=sign_in.tenant,
            client_id=sign_in.client_id,
            client_secret=sign_in.client_secret,
            scope=sign_in.scope,
            clock=clock,
        )
    make = _certificate if sign_in.credential == CERTIFICATE else _managed_identity
    return IdentityTokens(lambda: make(sign_in, {**_OPTIONS, **options}), sign_in, clock)


class IdentityTokens(CachedTokens):
    """Tokens of azure-identity. ``make`` builds the credential, and another one where a token was not accepted: each keeps its own cache."""

    def __init__(self, make: Callable[[], TokenCredential], sign_in: SignIn, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self._make = make
        self._sign_in = sign_in
        self._credential: Any = None

    def close(self) -> None:
        """Close the connections."""
        if self._credential is not None:
            self._credential.close()
            self._credential = None

    def _grant(self, *, anew: bool) -> tuple[str, float]:
        from azure.core.exceptions import AzureError, ClientAuthenticationError
        from azure.identity import CredentialUnavailableError

        if anew:
            self.close()
        try:
            self._credential = self._credential or self._make()
            granted = self._credential.get_token(self._sign_in.scope)
        except CredentialUnavailableError:
            # Its text tells an endpoint that is restarting from one that does not know us in no certain way.
            raise TryLater(
                "no managed identity gives a token here: check that one is assigned to this machine, and that AZURE_CLIENT_ID names it"
            ) from None
        except ClientAuthenticationError as error:
            raise self._denied(error) from None
        except AzureError as error:
            raise Passing(f"the token endpoint does not answer ({type(error).__name__})") from None
        except (ValueError, TypeError, OSError) as error:
            raise Refused(
                f"the certificate cannot be used ({type(error).__name__}): it has to be a PEM or PKCS 12 file with an RSA key, and its password"
            ) from None
        return granted.token, granted.expires_on - self._clock.now().timestamp()

    def _denied(self, error: Any) -> Exception:
        status = error.status_code or 0
        # Only the numbers of what it says: the rest may repeat what we sent.
        codes = ", ".join(dict.fromkeys(re.findall(r"AADSTS\d+", str(error))))
        if not codes or codes == _TRANSIENT or status in (408, 429) or status >= 500:
            # azure-identity says "authentication failed" of a broken connection too; then no number is in it.
            return Passing(f"the token endpoint answered {status}" if status else "the token endpoint does not answer")
        what = "certificate and its end date" if self._sign_in.credential == CERTIFICATE else "identity"
        return Refused(f"the token endpoint refused us ({codes}): check authority, tenant, client id, {what}")


def _certificate(sign_in: SignIn, options: Mapping[str, Any]) -> TokenCredential:
    from azure.identity import CertificateCredential

    return CertificateCredential(
        sign_in.tenant,
        sign_in.client_id,
        sign_in.certificate,
        password=sign_in.certificate_password or None,
        authority=sign_in.authority,
        **options,
    )


def _managed_identity(sign_in: SignIn, options: Mapping[str, Any]) -> TokenCredential:
    from azure.identity import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=sign_in.identity or None, **options)
