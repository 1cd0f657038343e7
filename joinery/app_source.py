"""How the registered functions get hold of the App, and what they do where there is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from joinery.errors import ConfigurationError

if TYPE_CHECKING:
    from joinery.app import App

#: How long a message is held before its failure is told. The platform delivers it again at once, and a hundred times in vain, which take
#: seconds, make it a dead letter; so held, they last longer than it takes to grant a role or to mend a setting.
REDELIVERY_PAUSE = timedelta(seconds=10)


class AppSource:
    """Builds the App once, on first use; ``use`` puts another in its place."""

    def __init__(
        self, build: Callable[[], App], *, pause: timedelta = REDELIVERY_PAUSE, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._build = build
        self._app: App | None = None
        self._given = False
        self._lock = threading.Lock()
        self._sleep = sleep
        self.pause = pause

    def __call__(self) -> App:
        """The App. Raises ConfigurationError, every time anew, where it cannot be built."""
        with self._lock:
            if self._app is None:
                self._app = self._build()
            return self._app

    def use(self, app: App | None, *, pauses: bool = False) -> None:
        """Serve this App from now on, for a host of ours or a test; None builds a new one at the next use.

        ``pauses``: its messages come from a bus that delivers them again at once, as they do where the App was built here.
        """
        with self._lock:
            self._app, self._given = app, app is not None and not pauses

    def handle(self, body: bytes, *, enqueued_at: datetime | None) -> None:
        """A message for the App. Whatever it raises is raised after a pause, because the message then comes again at once."""
        try:
            self().handle(body, enqueued_at=enqueued_at)
        except Exception:
            if not self._given:
                self._sleep(self.pause.total_seconds())
            raise

    def health(self) -> tuple[bool, dict[str, Any]]:
        """What the health route answers: the App's own word, or where settings and policy are wrong. Values are for the log."""
        try:
            return self().health()
        except ConfigurationError as error:
            return False, {"ready": False, "waiting_for": [finding.place for finding in error.findings]}
