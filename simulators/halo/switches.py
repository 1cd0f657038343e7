"""What differs between Halo tenants or is not established, each with the behaviour that the product relies on as its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

RolesMode = Literal["replace", "add", "ignore", "take"]
ClosesBy = Literal["either", "status", "action", "outcome"]
AgentEnvelope = Literal["results", "bare"]
UnknownId = Literal["not_found", "refused", "creates"]
TenantIn = Literal["anywhere", "query", "form"]
UtcOffset = Literal[-480, -300, 0, 60, 330, 600]
UserRows = Literal["full", "published"]
WebhookPayload = Literal["objects", "keys"]
Strict = Literal["ours", "everybody", "nobody"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Switches:
    """The stand-in's habits. Changed at run time by `PUT /_switches` with the members that change."""

    #: What `roles` on an agent does: the full list, an addition, nothing, or it only takes away, and `add_roles` gives.
    roles_mode: RolesMode = "replace"
    #: `/Agent` lists come in `{"record_count", "results"}` (seen on 2.236) or as a bare array (older clients).
    agent_envelope: AgentEnvelope = "results"
    #: How many enabled agents the licence allows; None is no ceiling.
    agent_licences: int | None = None
    #: What the list of users shows of each: everything (seen on 2.236), or what the published schema has there, without the directory id.
    user_rows: UserRows = "full"
    #: Whether `advanced_search` on users may name `azureoid`; white-listed on some tenants only.
    azureoid_searchable: bool = True
    #: What an update with an unknown id does: 404, a 400, or a new object.
    unknown_id: UnknownId = "not_found"
    #: `result` of an approval row that waits is null instead of 0.
    pending_is_null: bool = False
    #: `result` of an approval row that was accepted and of one that was rejected, as it is posted and shown.
    approved_code: int = 1
    rejected_code: int = 2
    #: What closes a ticket: its status, an action that carries the status, only an action whose outcome has it, or any of them.
    closes_by: ClosesBy = "either"
    #: Members of a user that are taken and not kept.
    unkept_user_members: tuple[str, ...] = ()
    #: Whether who did something is shown by the name of the application instead of its client id.
    application_named: bool = False
    #: Every write to an existing ticket, user or agent answers 200 with the old object and changes nothing.
    write_ignored: bool = False
    #: Rows of tickets in one answer at most; larger wishes are cut silently.
    page_cap: int = 100
    #: Requests allowed in the rolling window, per client; 0 is no limit.
    rate_limit: int = 700
    #: Seconds in the rolling window.
    rate_window: int = 300
    #: Whether a 429 says Retry-After.
    retry_after: bool = False
    #: Clients that the rate limit counts.
    limited_clients: tuple[str, ...] = ("joinery",)
    #: Where a token request has to name the tenant; anywhere: in the query, in the form or not at all.
    tenant_in: TenantIn = "anywhere"
    #: Seconds a token is good for.
    token_lifetime: int = 3600
    #: Minutes east of UTC, for a tenant that shows dates in its own time instead of UTC.
    utc_offset: UtcOffset = 0
    #: Whether the HTML of a note is written anew on its way in.
    rewrites_html: bool = False
    #: What a webhook posts: keys only, or the ticket and who did it as well. Halo has both kinds, and names for them are not published.
    webhook_payload: WebhookPayload = "objects"
    #: Tries per webhook delivery, with growing pauses; Halo documents none beyond the first.
    webhook_attempts: int = 8
    #: Display names of the groups that Halo's own import of the directory maps; the import itself is not here.
    import_maps: tuple[str, ...] = ()
    #: Whose calls are refused when they name a query parameter or a body member that the published schema does not know: those of our own
    #: application, everybody's or nobody's. The real product ignores such names in silence, and strangers get that.
    strict: Strict = "ours"

    def changed(self, members: Mapping[str, Any]) -> Switches:
        """These switches with some members replaced. ValueError with a sentence for an unknown name or a value of the wrong type."""
        hints = get_type_hints(Switches)
        values: dict[str, Any] = {}
        for name, value in members.items():
            if name not in hints:
                raise ValueError(f"There is no switch {name!r}. There are: {', '.join(f.name for f in fields(self))}.")
            value = tuple(value) if get_origin(hints[name]) is tuple and isinstance(value, list) else value
            if not _fits(value, hints[name]):
                raise ValueError(f"The switch {name!r} cannot be {value!r}: it takes {_wanted(hints[name])}.")
            values[name] = value
        return replace(self, **values)

    def shown(self) -> dict[str, Any]:
        """As JSON members."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    return value is None or _fits(value, int)


def _wanted(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, get_args(hint)))
    if hint is bool:
        return "true or false"
    if get_origin(hint) is tuple:
        return "a list of texts"
    return "a whole number from 0 up" if hint is int else "a whole number from 0 up, or null"
