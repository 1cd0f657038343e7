"""The rate limit: so many requests per rolling window, per client (`HaloITSM reference 2.5`)."""

from __future__ import annotations

import math
from datetime import timedelta

from simulators.halo.errors import HaloError
from simulators.halo.tenant import Tenant

THROTTLED = {"error": "You have exceeded the API rate limit for this instance."}


def count_call(tenant: Tenant, client: str) -> None:
    """Count one call of a client. 429 when the window is full; a refused call does not count."""
    switches = tenant.switches
    if client not in switches.limited_clients or switches.rate_limit == 0:
        return
    now = tenant.clock.now()
    window = timedelta(seconds=switches.rate_window)
    # A clock that was moved back leaves calls in the future; they are forgotten with those that are too old.
    recent = [at for at in tenant.windows.get(client, []) if now - window < at <= now]
    if len(recent) >= switches.rate_limit:
        tenant.windows[client] = recent
        free_in = (recent[len(recent) - switches.rate_limit] + window - now).total_seconds()
        raise HaloError(429, THROTTLED, {"Retry-After": str(max(1, math.ceil(free_in)))} if switches.retry_after else {})
    tenant.windows[client] = [*recent, now]
