"""The machine's own clock and chance, and whom its connections trust."""

from __future__ import annotations

import functools
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl import SSLContext


@functools.cache
def trusted() -> SSLContext:
    """The authorities that TLS connections of this process trust, for all its clients: reading them takes each about 25 ms."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


class SystemClock:
    """The wall clock in UTC, and the monotonic clock."""

    def now(self) -> datetime:
        """This moment, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()


class SystemRandomness:
    """Chance from the operating system, fit for secrets."""

    def __init__(self) -> None:
        self._random = secrets.SystemRandom()

    def uniform(self, low: float, high: float) -> float:
        """A number between the two."""
        return self._random.uniform(low, high)

    def token(self) -> str:
        """32 hexadecimal digits nobody can guess."""
        return secrets.token_hex(16)
