"""Managed identity and certificate through the unmodified azure-identity, against the pretend sign-in service and the pretend Graph."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import requests
import urllib3
from azure.core.pipeline.transport import RequestsTransport
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from adapters.graph.client import GraphClient
from adapters.graph.credentials import SignIn, tokens_of
from adapters.graph.token import CachedTokens
from joinery.errors import Refused, TryLater
from joinery.serving import Served, serve
from simulators.graph import PretendGraph, create_graph
from simulators.graph.identities import IDENTITY_ID

LOGIN = "https://login.local"
ANYTHING = msgspec.json.Decoder()


class ToTheStandIn(requests.adapters.HTTPAdapter):
    """Carries what is meant for the sign-in service to the pretend one: azure-identity takes https addresses alone."""

    def __init__(self, graph: PretendGraph) -> None:
        super().__init__()
        self._http = httpx.Client(transport=httpx.WSGITransport(app=graph.wsgi))
        self.asked: list[str] = []

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        self.asked.append(f"{request.method} {request.path_url.partition('?')[0]}")
        headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
        answer = self._http.request(str(request.method), str(request.url), content=request.body, headers=headers)
        raw = urllib3.HTTPResponse(BytesIO(answer.content), headers=dict(answer.headers), status=answer.status_code, preload_content=False)
        return self.build_response(request, raw)


class World:
    """The pretend Graph on a port, and the file of a certificate that its application knows."""

    def __init__(self, folder: Path) -> None:
        self.graph = create_graph(None, notify=False)
        self.server: Served = serve(self.graph.wsgi)
        self.folder = folder
        self.carrier = ToTheStandIn(self.graph)
        self.own("PUT", "/_certificates", [self.certificate("known")])

    def own(self, method: str, path: str, body: object = None) -> httpx.Response:
        reply = httpx.request(method, f"{self.server.url}{path}", json=body, trust_env=False)
        assert reply.is_success, reply.text
        return reply

    def certificate(self, name: str, password: str = "") -> str:
        """Make a key and a certificate; answers the public part."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(called, called, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=90))
        signed = made.sign(key, hashes.SHA256())
        how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
        (self.folder / f"{name}.pem").write_bytes(private + signed.public_bytes(Encoding.PEM))
        return signed.public_bytes(Encoding.PEM).decode()

    def by_certificate(self, name: str = "known", **changes: str) -> CachedTokens:
        """Tokens by the certificate of a file."""
        session = requests.Session()
        session.mount("https://", self.carrier)
        transport = RequestsTransport(session=session, session_owner=False)
        sign_in = self.sign_in("certificate", certificate=str(self.folder / f"{name}.pem"), **changes)
        return tokens_of(sign_in, transport=transport, disable_instance_discovery=True)

    def sign_in(self, credential: str, **changes: str) -> SignIn:
        plain = {"authority": LOGIN, "tenant": "local", "client_id": "local", "scope": f"{self.server.url}/.default"}
        return SignIn(credential=credential, **(plain | changes))

    def read_with(self, tokens: CachedTokens) -> list[str]:
        """One read of Graph; answers the calls that it took."""
        self.own("DELETE", "/_calls")
        graph = GraphClient(f"{self.server.url}/v1.0", tokens)
        try:
            graph.read("GET", "/users", ANYTHING)
        finally:
            graph.close()
            tokens.close()
        return [f"{call['method']} {call['path']}" for call in self.own("GET", "/_calls").json() if not call["path"].startswith("/_")]

    def unauthorised(self, times: int) -> None:
        """Graph accepts no token for so many calls."""
        body = {"error": {"code": "InvalidAuthenticationToken", "message": "revoked"}}
        rule = {"match": {"path": "/v1.0/users"}, "fault": "status", "status": 401, "body": body, "times": times}
        self.own("PUT", "/_faults", [rule])

    def close(self) -> None:
        self.server.close()
        self.graph.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path)
    # What an app service tells those who run on it.
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{world.server.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "local")
    monkeypatch.setenv("NO_PROXY", "*")
    yield world
    world.close()


pytestmark = pytest.mark.servers


@pytest.mark.parametrize("identity", ["", IDENTITY_ID])
def test_the_machines_identity_and_one_that_was_assigned_to_it_open_graph(world: World, identity: str) -> None:
    tokens = tokens_of(world.sign_in("managed-identity", identity=identity))
    assert world.read_with(tokens) == ["GET /msi/token", "GET /v1.0/users"]


def test_a_machine_without_that_identity_is_for_later_and_says_what_to_check(world: World) -> None:
    with pytest.raises(TryLater, match="AZURE_CLIENT_ID"):
        tokens_of(world.sign_in("managed-identity", identity="10ca110c-0000-4000-8000-0000000000ff")).token()


def test_a_certificate_opens_graph_and_its_token_is_kept(world: World) -> None:
    tokens = world.by_certificate()
    threads = [threading.Thread(target=tokens.token) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.carrier.asked.count("POST /local/oauth2/v2.0/token") == 1
    assert world.read_with(tokens) == ["GET /v1.0/users"]


def test_a_certificate_behind_a_password_opens_graph_too(world: World) -> None:
    world.own("PUT", "/_certificates", [world.certificate("locked", "pa55")])
    assert world.by_certificate("locked", certificate_password="pa55").token()
    with pytest.raises(Refused, match="password"):
        world.by_certificate("locked", certificate_password="other").token()


def test_a_certificate_that_the_application_does_not_know_is_refused_with_the_number_and_without_what_we_sent(world: World) -> None:
    world.certificate("stranger")
    with pytest.raises(Refused, match=r"AADSTS700027.*certificate and its end date") as caught:
        world.by_certificate("stranger").token()
    assert "eyJ" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n", None])
def test_a_file_that_holds_no_certificate_is_refused_before_anything_is_sent(world: World, content: bytes | None) -> None:
    if content is not None:
        (world.folder / "bad.pem").write_bytes(content)
    with pytest.raises(Refused, match="PEM or PKCS 12"):
        world.by_certificate("bad").token()
    assert world.carrier.asked == []


@pytest.mark.parametrize("way", ["certificate", "managed-identity"])
def test_a_token_that_is_not_accepted_is_replaced_once_by_a_really_new_one(world: World, way: str) -> None:
    tokens = world.by_certificate() if way == "certificate" else tokens_of(world.sign_in(way))
    old = tokens.token()
    world.unauthorised(1)
    calls = world.read_with(tokens)
    assert [call for call in calls if call == "GET /v1.0/users"] == ["GET /v1.0/users"] * 2
    # azure-identity would hand out the old one from its own cache.
    assert tokens.token() != old


def test_a_fresh_token_that_is_not_accepted_either_is_refused_with_what_to_check(world: World) -> None:
    world.unauthorised(2)
    with pytest.raises(Refused, match="check the app registration"):
        world.read_with(tokens_of(world.sign_in("managed-identity")))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_sign_in_service_in_trouble_is_asked_once_and_is_for_later(world: World, status: int) -> None:
    world.own(
        "PUT", "/_faults", [{"match": {"path": "/local/oauth2/v2.0/token"}, "fault": "status", "status": status, "body": {}, "times": 9}]
    )
    with pytest.raises(TryLater):
        world.by_certificate().token()
    assert world.carrier.asked.count("POST /local/oauth2/v2.0/token") == 1


def test_no_secret_shows_in_a_representation(world: World) -> None:
    assert "pa55" not in repr(world.sign_in("certificate", certificate_password="pa55", client_secret="s3cret"))
    assert "s3cret" not in repr(world.sign_in("secret", client_secret="s3cret"))
