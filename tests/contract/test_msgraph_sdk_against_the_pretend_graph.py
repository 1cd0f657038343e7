"""The unmodified msgraph-sdk drives the pretend Graph: what it does at the real one, it can do here."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from azure.core.credentials import AccessToken
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph.generated.models.group import Group
from msgraph.generated.models.password_profile import PasswordProfile
from msgraph.generated.models.reference_create import ReferenceCreate
from msgraph.generated.models.subscription import Subscription
from msgraph.generated.models.user import User
from msgraph.generated.users.users_request_builder import UsersRequestBuilder
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory  # type: ignore[import-untyped]

from joinery.serving import serve
from simulators.graph import PretendGraph, create_graph

pytestmark = [
    pytest.mark.servers,
    pytest.mark.xdist_group("msgraph-sdk"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:msgraph.*"),  # the SDK warns about its own classes on every call
]


class LocalCredential:
    """A token of the pretend tenant; azure-identity refuses an authority without https."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        form = {"grant_type": "client_credentials", "client_id": "local", "client_secret": "local", "scope": " ".join(scopes)}
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = (await client.post(f"{self._url}/local/oauth2/v2.0/token", data=form)).json()
        return AccessToken(answer["access_token"], int(time.time()) + answer["expires_in"])

    async def close(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> "LocalCredential":
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None


@pytest.fixture(scope="module")
def graph() -> Iterator[tuple[PretendGraph, str]]:
    pretend = create_graph(None)
    pretend.start()
    server = serve(pretend.wsgi)
    yield pretend, server.url
    pretend.stop()
    server.close()


@pytest.fixture
def url(graph: tuple[PretendGraph, str]) -> str:
    return graph[1]


def run(url: str, story: Callable[[GraphServiceClient], Awaitable[None]]) -> None:
    """Run one story with a client made inside its own loop."""

    async def whole() -> None:
        provider = AzureIdentityAuthenticationProvider(
            LocalCredential(url), scopes=[f"{url}/.default"], allowed_hosts=[str(urlsplit(url).hostname), urlsplit(url).netloc]
        )
        client = GraphClientFactory.create_with_default_middleware(client=httpx.AsyncClient(trust_env=False))
        adapter = GraphRequestAdapter(provider, client=client)
        adapter.base_url = f"{url}/v1.0"
        await story(GraphServiceClient(request_adapter=adapter))

    asyncio.run(whole())


def new_user(name: str) -> User:
    return User(
        account_enabled=True,
        display_name=name,
        mail_nickname=name,
        user_principal_name=f"{name}-{uuid.uuid4().hex[:8]}@example.com",
        password_profile=PasswordProfile(password="not kept", force_change_password_next_sign_in=True),
    )


def test_users_are_created_listed_read_changed_and_deleted(url: str) -> None:
    async def story(client: GraphServiceClient) -> None:
        made = await client.users.post(new_user("ada"))
        assert made is not None and made.id is not None and made.display_name == "ada"
        query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(
            filter=f"userPrincipalName eq '{made.user_principal_name}'", select=["id", "department", "accountEnabled"]
        )
        listed = await client.users.get(request_configuration=RequestConfiguration(query_parameters=query))
        assert listed is not None and [user.id for user in listed.value or []] == [made.id]
        await client.users.by_user_id(made.id).patch(User(department="Engines", employee_hire_date=datetime(2026, 11, 23, tzinfo=UTC)))
        read = await client.users.by_user_id(made.id).get()
        assert read is not None and read.user_principal_name == made.user_principal_name
        await client.users.by_user_id(made.id).delete()
        with pytest.raises(Exception) as told:
            await client.users.by_user_id(made.id).get()
        assert told.value.error.code == "Request_ResourceNotFound"  # type: ignore[attr-defined]

    run(url, story)


def test_members_are_added_listed_and_removed_by_reference(url: str) -> None:
    async def story(client: GraphServiceClient) -> None:
        ada = await client.users.post(new_user("ada"))
        team = await client.groups.post(Group(display_name="Team", mail_enabled=False, mail_nickname="team", security_enabled=True))
        assert ada is not None and ada.id and team is not None and team.id
        members = client.groups.by_group_id(team.id).members
        await members.ref.post(ReferenceCreate(odata_id=f"{url}/v1.0/directoryObjects/{ada.id}"))
        listed = await members.get()
        assert listed is not None and [type(member) for member in listed.value or []] == [User]
        await members.by_directory_object_id(ada.id).ref.delete()
        listed = await members.get()
        assert listed is not None and listed.value == []
        still = await client.users.by_user_id(ada.id).get()
        assert still is not None and still.id == ada.id

    run(url, story)


def test_delta_is_followed_over_two_pages_and_from_its_link(graph: tuple[PretendGraph, str]) -> None:
    pretend, url = graph
    pretend.switches.page_size = 2

    async def story(client: GraphServiceClient) -> None:
        made = [await client.users.post(new_user(f"delta{n}")) for n in range(3)]
        ids = {user.id for user in made if user is not None}
        page, pages, seen = await client.users.delta.get(), 1, set()
        assert page is not None
        seen |= {user.id for user in page.value or []}
        while page.odata_next_link:
            page, pages = await client.users.delta.with_url(page.odata_next_link).get(), pages + 1
            assert page is not None
            seen |= {user.id for user in page.value or []}
        assert pages >= 2 and ids <= seen and page.odata_delta_link
        changed = next(iter(ids))
        await client.users.by_user_id(str(changed)).patch(User(job_title="Countess"))
        after = await client.users.delta.with_url(page.odata_delta_link).get()
        assert after is not None and [user.id for user in after.value or []] == [changed]

    try:
        run(url, story)
    finally:
        pretend.switches.page_size = 100


def test_subscriptions_are_created_listed_renewed_and_deleted(url: str) -> None:
    def receiver(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        token = parse_qs(environ["QUERY_STRING"])["validationToken"][0]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [token.encode()]

    async def story(client: GraphServiceClient) -> None:
        asked = Subscription(
            change_type="updated,deleted",
            resource="/users",
            notification_url=hooks.url + "/api/notifications",
            lifecycle_notification_url=hooks.url + "/api/lifecycle",
            client_state="secret",
            expiration_date_time=datetime.now(UTC) + timedelta(days=2),
        )
        made = await client.subscriptions.post(asked)
        assert made is not None and made.id
        listed = await client.subscriptions.get()
        assert listed is not None and [each.id for each in listed.value or []] == [made.id]
        later = datetime.now(UTC) + timedelta(days=20)
        renewed = await client.subscriptions.by_subscription_id(made.id).patch(Subscription(expiration_date_time=later))
        assert renewed is not None and renewed.expiration_date_time == later
        await client.subscriptions.by_subscription_id(made.id).delete()
        listed = await client.subscriptions.get()
        assert listed is not None and listed.value == []

    hooks = serve(receiver)
    try:
        run(url, story)
    finally:
        hooks.close()
