"""Our standing orders for notifications, kept through msgraph-sdk.

The SDK is imported only inside the function that needs it; this runs on a timer and from the command line, never in a request. It is
asynchronous, so each ``ensure`` runs one loop of its own with the client built inside. Requests are the SDK's; replies are decoded here,
because the first model that the SDK decodes loads 1,222 modules: a second and 30 MB, measured on two cores.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from adapters.graph.answers import AlreadyThere, Asking, NotThere, error_for, retry_after
from adapters.graph.token import TokenSource
from adapters.system import SystemClock
from joinery.domain.moments import in_utc
from joinery.engine.ports import Clock
from joinery.errors import JoineryError, OutcomeUnknown, Refused, TryLater

if TYPE_CHECKING:
    from kiota_abstractions.request_information import RequestInformation
    from msgraph.graph_request_adapter import GraphRequestAdapter
    from msgraph.graph_service_client import GraphServiceClient

logger = logging.getLogger(__name__)

Decoded = TypeVar("Decoded")

#: What we subscribe to: every user, and every group with its members. One subscription each for the whole tenant.
RESOURCES = ("/users", "/groups")
#: Creation arrives as ``updated`` too; ``deleted`` is the removal for good ("subscription resource type").
CHANGE_TYPE = "updated,deleted"
#: For how long we order. Graph takes at most 41,760 minutes, which is 29 days, for directory objects.
LIFETIME = timedelta(days=28)
#: A subscription with less than this before it is renewed, so that two weeks of failing renewals lose nothing.
RENEW_BELOW = timedelta(days=14)
#: What one ``ensure`` may take in all: each create makes Graph call both our addresses first, up to 10 s each.
DEADLINE = timedelta(seconds=120)
#: Pages of the list of subscriptions; there may be 100 subscriptions per app and tenant.
PAGES_MAX = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What a subscription has to look like."""

    notification_url: str
    lifecycle_url: str
    client_state: str


class Subscription(msgspec.Struct, rename="camel"):
    """What Graph says of one subscription ("subscription resource type")."""

    id: str | None = None
    resource: str | None = None
    change_type: str | None = None
    notification_url: str | None = None
    lifecycle_notification_url: str | None = None
    expiration_date_time: datetime | None = None


class _Page(msgspec.Struct, rename="camel"):
    value: list[Subscription]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


class GraphSubscriptions:
    """Subscriptions over Microsoft Graph. Needs User.Read.All and Group.Read.All, application permissions.

    ``base_url`` is the Graph root with its version; ``token_source`` is the one that the directory uses.
    """

    def __init__(self, base_url: str, token_source: TokenSource, *, clock: Clock | None = None, deadline: timedelta = DEADLINE) -> None:
        self._base_url = base_url.rstrip("/")
        self._tokens = token_source
        self._clock = clock or SystemClock()
        self._deadline = deadline

    def ensure(
        self, *, notification_url: str, lifecycle_url: str, client_state: str, changed: bool, renew: bool = False
    ) -> Mapping[str, datetime]:
        """Create what is missing, renew what ends within 14 days, recreate what has another address, or all if ``changed``.

        ``renew`` because Graph asked for it ("change-notifications-lifecycle-events", reauthorizationRequired): a new end authorises anew,
        however far away the old one is, and notifications stop where nobody sends one.

        Returns resource (``/users``, ``/groups``) -> when its subscription ends, aware. Repeating it is always safe, because it looks
        before it creates; so an unknown outcome is a TryLater here.

        Raises:
            TryLater: not all is in place; call again.
            Refused: Graph says no; a person has to look.
        """
        if not client_state or len(client_state) > 128:
            raise Refused(f"a clientState has 1 to 128 characters, not {len(client_state)}")
        wanted = _Wanted(notification_url=notification_url, lifecycle_url=lifecycle_url, client_state=client_state)
        try:
            return asyncio.run(asyncio.wait_for(self._ensure(wanted, changed, renew), self._deadline.total_seconds()))
        except TimeoutError:
            raise TryLater("Graph did not finish with our subscriptions in time") from None
        except OutcomeUnknown as error:
            raise TryLater(str(error)) from None

    async def _ensure(self, wanted: _Wanted, changed: bool, renew: bool) -> Mapping[str, datetime]:
        import httpx
        from kiota_http.middleware.options import RedirectHandlerOption, RetryHandlerOption
        from msgraph.graph_request_adapter import GraphRequestAdapter
        from msgraph.graph_service_client import GraphServiceClient
        from msgraph_core import GraphClientFactory  # type: ignore[import-untyped]  # the vendor ships no types for it

        self._tokens.token()
        # The SDK would send a write again after 503 and 504, and follow redirects; both are ours to decide.
        options: Any = {
            RetryHandlerOption.get_key(): RetryHandlerOption(max_retries=0, should_retry=False),
            RedirectHandlerOption.get_key(): RedirectHandlerOption(max_redirect=0, should_redirect=False),
        }
        async with httpx.AsyncClient(timeout=httpx.Timeout(40, connect=3), trust_env=False, follow_redirects=False) as plain:
            http = GraphClientFactory.create_with_default_middleware(client=plain, options=options)
            adapter = GraphRequestAdapter(_auth_provider(self._base_url, self._tokens), http)
            adapter.base_url = self._base_url
            graph = GraphServiceClient(request_adapter=adapter)
            session = _Session(graph, adapter, self._base_url, self._tokens, self._clock, wanted)
            return await session.ensure(changed, renew)


class _Session:
    """One pass over our subscriptions."""

    def __init__(
        self, graph: GraphServiceClient, adapter: GraphRequestAdapter, base_url: str, tokens: TokenSource, clock: Clock, wanted: _Wanted
    ) -> None:
        self._graph = graph
        self._adapter = adapter
        self._base = urlsplit(base_url)
        self._tokens = tokens
        self._clock = clock
        self._wanted = wanted

    async def ensure(self, changed: bool, renew: bool) -> Mapping[str, datetime]:
        """All resources, each on its own: what fails for one does not keep the other from being in place."""
        found = await self._list()
        ends: dict[str, datetime] = {}
        errors: list[JoineryError] = []
        for resource in RESOURCES:
            try:
                ends[resource] = await self._ensure_one(resource, _about(found, resource), changed, renew)
            except JoineryError as error:
                errors.append(error)
        if errors:
            raise next((error for error in errors if isinstance(error, Refused)), errors[0])
        return ends

    async def _ensure_one(self, resource: str, found: list[Subscription], changed: bool, renew: bool) -> datetime:
        good = [subscription for subscription in found if self._fits(subscription)]
        keep = None if changed or not good else max(good, key=_end_or_past)
        # Graph takes one subscription per change type and resource, and cannot move one to another address: those in the way go first.
        # Others, with another change type and somewhere else, are not ours.
        for subscription in found:
            if subscription is not keep and (self._is_ours(subscription) or _change_types(subscription) == _split(CHANGE_TYPE)):
                await self._delete(subscription)
        if keep is None:
            return await self._create(resource, again=True)
        if _end(keep) - self._clock.now() >= RENEW_BELOW and not renew:
            return _end(keep)
        try:
            return await self._renew(keep)
        except NotThere:
            return await self._create(resource, again=True)

    def _fits(self, subscription: Subscription) -> bool:
        return (
            self._is_ours(subscription)
            and subscription.lifecycle_notification_url == self._wanted.lifecycle_url
            and _change_types(subscription) == _split(CHANGE_TYPE)
            and _end_or_past(subscription) > self._clock.now()
        )

    def _is_ours(self, subscription: Subscription) -> bool:
        return subscription.notification_url == self._wanted.notification_url

    async def _list(self) -> list[Subscription]:
        found: list[Subscription] = []
        page = await self._call(self._graph.subscriptions.to_get_request_information, Asking.READ, _Page)
        for _ in range(PAGES_MAX):
            found.extend(page.value)
            link = page.next_link
            if not link:
                return found
            parts = urlsplit(link)
            if (parts.scheme, parts.netloc.lower()) != (self._base.scheme, self._base.netloc.lower()):
                raise Refused(f"Graph sent a link to {parts.hostname}, which is not {self._base.hostname}; it was not followed")
            page = await self._call(self._graph.subscriptions.with_url(link).to_get_request_information, Asking.READ, _Page)
        raise TryLater(f"Graph sent more than {PAGES_MAX} pages of subscriptions")

    async def _create(self, resource: str, *, again: bool) -> datetime:
        from msgraph.generated.models.subscription import Subscription as Order

        order = Order(
            change_type=CHANGE_TYPE,
            resource=resource,
            notification_url=self._wanted.notification_url,
            lifecycle_notification_url=self._wanted.lifecycle_url,
            client_state=self._wanted.client_state,
            expiration_date_time=self._clock.now() + LIFETIME,
            latest_supported_tls_version="v1_2",
        )
        try:
            created = await self._call(lambda: self._graph.subscriptions.to_post_request_information(order), Asking.WRITE, Subscription)
        except AlreadyThere:
            if not again:
                raise TryLater(
                    f"Graph holds a subscription to {resource} that cannot be removed; somebody else may be making them"
                ) from None
            # Its client state cannot be read back, so it may be an old one: make place and create.
            for subscription in _about(await self._list(), resource):
                if self._is_ours(subscription) or _change_types(subscription) == _split(CHANGE_TYPE):
                    await self._delete(subscription)
            return await self._create(resource, again=False)
        self._note("subscription_created", resource, created)
        return _end(created)

    async def _renew(self, subscription: Subscription) -> datetime:
        from msgraph.generated.models.subscription import Subscription as Change

        item = self._graph.subscriptions.by_subscription_id(_id(subscription))
        change = Change(expiration_date_time=self._clock.now() + LIFETIME)
        renewed = await self._call(lambda: item.to_patch_request_information(change), Asking.WRITE, Subscription)
        self._note("subscription_renewed", subscription.resource or "", subscription)
        return _end(renewed)

    async def _delete(self, subscription: Subscription) -> None:
        item = self._graph.subscriptions.by_subscription_id(_id(subscription))
        try:
            await self._call(item.to_delete_request_information, Asking.WRITE, None)
        except NotThere:
            return
        self._note("subscription_deleted", subscription.resource or "", subscription)

    async def _call(self, ask: Callable[[], RequestInformation], asking: Asking, answer: type[Decoded] | None) -> Decoded:
        """One request of the SDK, with a fresh token after a 401, and its errors translated as everywhere."""
        import httpx
        from kiota_abstractions.api_error import APIError
        from msgraph.generated.models.o_data_errors.o_data_error import ODataError

        token = self._tokens.token()
        for last in (False, True):
            request, call_id = ask(), str(uuid.uuid4())
            # The SDK makes an id only for clients that it built itself.
            request.headers.try_add("client-request-id", call_id)
            try:
                body = await self._adapter.send_primitive_async(request, "bytes", {"XXX": ODataError})
                return cast(Decoded, None) if answer is None else msgspec.json.decode(body or b"", type=answer)
            except APIError as error:
                if error.response_status_code == 401 and not last:
                    self._tokens.refresh(token)
                    continue
                logger.warning(
                    "Graph answered", extra={"action": "graph_called", "status": error.response_status_code, "client_request_id": call_id}
                )
                raise self._translated(error, asking, call_id) from None
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                raise TryLater(f"Graph cannot be reached ({type(error).__name__})") from None
            except JoineryError:
                raise
            except Exception as error:
                # A broken connection, or an answer that is cut or a proxy's page.
                said = f"the call to Graph broke off, or its answer cannot be understood ({type(error).__name__})"
                raise (OutcomeUnknown(said) if asking is Asking.WRITE else TryLater(said)) from None
        raise AssertionError("the second round returns or raises")

    def _translated(self, error: Any, asking: Asking, call_id: str) -> Exception:
        main = getattr(error, "error", None)
        code, message = getattr(main, "code", None) or "", getattr(main, "message", None) or ""
        headers: Mapping[str, object] = dict(error.response_headers or {})
        status = error.response_status_code or 0
        if status == 400 and "validation request" in message.lower():
            # The older code for it is a plain InvalidRequest ("change-notifications-delivery-webhooks").
            code = "ValidationError"
        if status == 403 and "limit" in message.lower():
            # "The message names the limit" ("change-notifications-overview"); its code is that of any other no.
            code = "SubscriptionLimit"
        hide = (self._wanted.client_state, self._wanted.notification_url, self._wanted.lifecycle_url)
        return error_for(status, code, message, asking=asking, after=retry_after(headers, self._clock.now()), call_id=call_id, hide=hide)

    def _note(self, action: str, resource: str, subscription: Subscription | None) -> None:
        logger.info("Subscription kept", extra={"action": action, "resource": resource, "subscription": subscription and subscription.id})


def _auth_provider(base_url: str, tokens: TokenSource) -> Any:
    """Our tokens in the SDK's terms. azure-identity refuses http addresses, and the SDK's own provider allows all hosts."""
    from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator, BaseBearerTokenAuthenticationProvider

    base = urlsplit(base_url)
    validator = AllowedHostsValidator([base.hostname or ""])

    class OurTokens(AccessTokenProvider):
        async def get_authorization_token(self, uri: str, additional_authentication_context: dict[str, Any] | None = None) -> str:
            parts = urlsplit(uri)
            if not validator.is_url_host_valid(uri) or (parts.scheme, parts.port) != (base.scheme, base.port):
                raise Refused(f"no token for {parts.hostname}: it is not {base.hostname}")
            return tokens.token()

        def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
            return validator

    return BaseBearerTokenAuthenticationProvider(OurTokens())


def _about(found: list[Subscription], resource: str) -> list[Subscription]:
    wanted = resource.strip("/").lower()
    return [subscription for subscription in found if (subscription.resource or "").strip("/").lower() == wanted]


def _split(change_type: str) -> frozenset[str]:
    return frozenset(part.strip().lower() for part in change_type.split(",") if part.strip())


def _change_types(subscription: Subscription) -> frozenset[str]:
    return _split(subscription.change_type or "")


def _end(subscription: Subscription | None) -> datetime:
    """When it ends, aware. Raises TryLater if Graph did not say."""
    end = subscription.expiration_date_time if subscription else None
    if end is None:
        raise TryLater("Graph did not say when a subscription ends")
    return in_utc(end)


def _end_or_past(subscription: Subscription) -> datetime:
    """When it ends; one that does not say is as good as ended."""
    return _end(subscription) if subscription.expiration_date_time else datetime.min.replace(tzinfo=UTC)


def _id(subscription: Subscription) -> str:
    if not subscription.id:
        raise TryLater("Graph did not say which subscription this is")
    return subscription.id
