"""Which log of the seals: a file, or append blobs where an address or a connection string is given."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.stores.seal_file import FileSealLog

if TYPE_CHECKING:
    from adapters.stores.seal_blob import BlobSealLog


def open_seals(path: Path, *, url: str = "", connection: str = "") -> FileSealLog | BlobSealLog:
    """The log that was chosen; nothing is asked or made before its first use. Raises ConfigurationError where the connection string is none."""
    if not url and not connection:
        return FileSealLog(path)

    # Half a second of import time, for those who need it.
    from adapters.stores.seal_blob import BlobSealLog, seal_container

    # At INFO the SDK logs every address.
    logging.getLogger("azure").setLevel(logging.WARNING)
    return BlobSealLog(seal_container(url=url, connection=connection))
