"""Posts each new cause of alerts as JSON to one address: a chat channel, a pager, a Logic App."""

from __future__ import annotations

import logging
from datetime import datetime

import httpx

from joinery.domain.moments import to_text

_log = logging.getLogger(__name__)

#: Nobody waits long for being told: the alert is stored, logged and a ticket all the same.
_SECONDS = 5.0


class AlertWebhook:
    """One POST per cause: ``{"text", "cause", "about", "at"}``; ``text`` is what chat channels show. Redirects are not followed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(timeout=_SECONDS, follow_redirects=False)

    def tell(self, *, cause: str, about: str, at: datetime) -> None:
        """Post it; what goes wrong is logged with its class alone, because the address is a secret."""
        body = {"text": f"Joinery needs a person: {cause}", "cause": cause, "about": about, "at": to_text(at)}
        try:
            answer = self._client.post(self._url, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            _log.warning("alert webhook failed", extra={"action": "alert_webhook_failed", "error": type(error).__name__})
            return
        if not answer.is_success:
            _log.warning("alert webhook refused", extra={"action": "alert_webhook_failed", "status": answer.status_code})

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
