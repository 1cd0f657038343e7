"""Which log of the seals: a file, or append blobs where an address or a connection string is given."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.stores.seal_file import FileSealLog

if TYPE_CHECKING:
    from adapters.stores.seal_blob import BlobSealLog


class BlobSealLogOnDemand:
    """A log in append blobs whose client is loaded at the first use: most processes only take notifications, and never seal.

    Every method raises what ``BlobSealLog`` does, and ConfigurationError where the connection string is none.
    """

    def __init__(self, *, url: str = "", connection: str = "") -> None:
        self._url, self._connection = url, connection
        self._lock = threading.Lock()
        self._log: BlobSealLog | None = None

    def size(self) -> int:
        """How many bytes there are."""
        return self._opened().size()

    def read(self, start: int = 0) -> bytes:
        """Everything from byte ``start`` on."""
        return self._opened().read(start)

    def append(self, data: bytes, *, at: int) -> None:
        """Add to the end if the end is at byte ``at``."""
        self._opened().append(data, at=at)

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            if self._log is not None:
                self._log.close()

    def _opened(self) -> BlobSealLog:
        from adapters.stores.seal_blob import BlobSealLog, seal_container

        with self._lock:
            if self._log is None:
                self._log = BlobSealLog(seal_container(url=self._url, connection=self._connection))
            return self._log


def open_seals(path: Path, *, url: str = "", connection: str = "") -> FileSealLog | BlobSealLogOnDemand:
    """The log that was chosen. Nothing is asked or made before its first use."""
    return BlobSealLogOnDemand(url=url, connection=connection) if url or connection else FileSealLog(path)
