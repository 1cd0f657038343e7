"""Other ways to sign in than with a secret: a certificate's assertion, and the managed identity of an app service."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from simulators.state import StateFile

#: The user-assigned identity of this machine; without a client id the machine's own answers.
IDENTITY_ID = "10ca110c-0000-4000-8000-00000000000a"
#: What an app service finds in IDENTITY_HEADER here.
IDENTITY_SECRET = "local"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_KIND = "certificate"


class Certificates:
    """Public certificates of the application, and the assertions signed with them ("certificate-credentials")."""

    def __init__(self, state: StateFile, wall: Callable[[], float] = time.time) -> None:
        self._state = state
        self._wall = wall

    def replace(self, raw: object) -> None:
        """PUT /_certificates: a list of PEM texts, instead of those before. Raises ValueError."""
        from cryptography import x509

        if not isinstance(raw, list) or not all(isinstance(pem, str) for pem in raw):
            raise ValueError("the body is a list of certificates in PEM")
        for pem in raw:
            x509.load_pem_x509_certificate(pem.encode())
        for row in self._state.all(_KIND):
            self._state.delete(_KIND, row["id"])
        for number, pem in enumerate(raw):
            self._state.put(_KIND, str(number), {"id": str(number), "pem": pem})

    def refusal(self, assertion: str, *, client: str, path: str) -> tuple[str, int] | None:
        """AADSTS text and number where an assertion is not accepted; None where it is. ``path`` is the token endpoint's."""
        try:
            header, payload, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in assertion.split("."))
            claims, algorithm = json.loads(payload), json.loads(header)["alg"]
            aimed = urlsplit(claims["aud"]).path == path and {claims["iss"], claims["sub"]} == {client}
            ends = float(claims["exp"])
        except (ValueError, KeyError, TypeError):
            return "AADSTS50027: JWT token is invalid or malformed.", 50027
        if not any(_signed(row["pem"], algorithm, assertion.rpartition(".")[0].encode(), signature) for row in self._state.all(_KIND)):
            return (
                "AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application.",
                700027,
            )
        if not aimed:
            return "AADSTS700023: Client assertion audience claim does not match.", 700023
        if ends < self._wall():
            return "AADSTS700024: Client assertion is not within its valid time range.", 700024
        return None


def _signed(pem: str, algorithm: object, content: bytes, signature: bytes) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    sha = hashes.SHA256()
    ways: Mapping[object, padding.AsymmetricPadding] = {
        "RS256": padding.PKCS1v15(),
        "PS256": padding.PSS(padding.MGF1(sha), salt_length=sha.digest_size),
    }
    if not isinstance(key, rsa.RSAPublicKey) or algorithm not in ways:
        return False
    try:
        key.verify(signature, content, ways[algorithm], sha)
    except InvalidSignature:
        return False
    return True


def discovery(base: str, tenant: str) -> dict[str, Any]:
    """GET /{tenant}/v2.0/.well-known/openid-configuration, as far as clients read it."""
    root = f"{base}/{tenant}"
    return {
        "token_endpoint": f"{root}/oauth2/v2.0/token",
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
        "issuer": f"{root}/v2.0",
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def machine_token(query: Mapping[str, str], header: str, grant: Callable[[], tuple[str, int]]) -> tuple[int, dict[str, Any]]:
    """GET /msi/token, the endpoint that an app service names in IDENTITY_ENDPOINT ("overview-managed-identity", REST endpoint reference)."""
    if header != IDENTITY_SECRET:
        return 401, {"statusCode": 401, "message": "The X-IDENTITY-HEADER is missing or wrong.", "correlationId": "0"}
    if query.get("api-version") != "2019-08-01" or not query.get("resource"):
        return 400, {"statusCode": 400, "message": "api-version or resource is missing.", "correlationId": "0"}
    if query.get("client_id", IDENTITY_ID).lower() != IDENTITY_ID:
        return 400, {"statusCode": 400, "message": "No User Assigned or Delegated Managed Identity found for specified ClientId."}
    token, life = grant()
    # Seconds since 1970 as text: other shapes of it were those of older versions.
    return 200, {
        "access_token": token,
        "expires_on": str(int(time.time()) + life),
        "resource": query["resource"],
        "token_type": "Bearer",
        "client_id": IDENTITY_ID,
    }
