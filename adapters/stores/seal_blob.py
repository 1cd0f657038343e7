"""The log of the seals in append blobs: in a container whose immutability policy lets blocks be added and nothing be changed or removed.

An append blob takes 50,000 blocks ("understanding-block-blobs--append-blobs--and-page-blobs"): seventeen months of a seal each quarter of an
hour. So the log is ``seals-00001.jsonl``, ``seals-00002.jsonl`` and so on, read as one. The next begins when the service takes no
further block in the last, not earlier: whoever still holds the old one for the last cannot add to it any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from itertools import accumulate
from typing import Any
from urllib.parse import urlsplit

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.transport import HttpTransport, RequestsTransport
from azure.storage.blob import BlobType, ContainerClient, StorageErrorCode

from joinery.errors import ConfigurationError, Finding, LostRace, SealUnavailable

#: Seconds to wait for a connection, and for bytes.
CONNECT_MAX, READ_MAX = 2.0, 8.0
#: One request reads so much: a log of several requests could have grown between two of them.
_READ_BYTES_MAX = 256 * 1024 * 1024
_PREFIX = "seals-"
_PART = re.compile(r"seals-\d{5}\.jsonl")
#: What may be done where the service refuses.
_REMEDIES = {
    401: "give this identity the role Storage Blob Data Contributor on the container",
    403: "give this identity the role Storage Blob Data Contributor on the container",
    404: "make the container, with its immutability policy",
    409: "the container's policy has to allow protected append writes",
}


def seal_container(
    *, url: str = "", connection: str = "", name: str = "seals", transport: HttpTransport[Any, Any] | None = None
) -> ContainerClient:
    """A client for the container, which is not asked yet.

    Args:
        url: https://ACCOUNT.blob.core.windows.net/CONTAINER, entered as this machine's identity.
        connection: a connection string, in place of it.
        name: of the container, where a connection string names the account alone.
        transport: what carries the requests, for tests.

    Raises:
        ConfigurationError: the connection string is none.
    """
    # The sealer comes again at the next tick, so the SDK repeats nothing; a repeat could not know whether the first try was heard.
    options: dict[str, Any] = {
        "retry_total": 0,
        "max_single_get_size": _READ_BYTES_MAX,
        "connection_timeout": CONNECT_MAX,
        "read_timeout": READ_MAX,
    }
    options["transport"] = transport or RequestsTransport(use_env_settings=False)
    if not connection:
        # A second of import time, for those who need it.
        from azure.identity import DefaultAzureCredential

        return ContainerClient.from_container_url(url, credential=DefaultAzureCredential(), **options)
    try:
        return ContainerClient.from_connection_string(connection, name, **options)
    except ValueError:
        # Not the SDK's words: they may repeat the key.
        remedy = "Copy the connection string that the portal shows beside the account's keys, or use JOINERY_SEALS_URL."
        raise ConfigurationError([Finding(place="JOINERY_SEALS_CONNECTION", problem="is no connection string", remedy=remedy)]) from None


class BlobSealLog:
    """Adds blocks, makes the next blob where none of that name is, lists and reads; it never overwrites, and never makes the container.

    Args:
        container: belongs to this log alone.
    """

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    def size(self) -> int:
        """How many bytes all blobs have together."""
        with self._translated():
            return sum(size for _, size in self._parts())

    def read(self, start: int = 0) -> bytes:
        """Everything from byte ``start`` on; one request for each blob that it touches."""
        with self._translated():
            parts = self._parts()
            ends = accumulate(size for _, size in parts)
            pieces = [
                self._container.download_blob(name, offset=max(0, start - (end - size)), length=end - max(start, end - size)).readall()
                for (name, size), end in zip(parts, ends, strict=True)
                if size and start < end
            ]
            return b"".join(pieces)

    def append(self, data: bytes, *, at: int) -> None:
        """Add one block (at most 4 MiB) behind the last, on the condition that it is still the last.

        Raises SealUnavailable also where an answer was lost: the block may be there, and the next to append meets LostRace or reads it.
        """
        with self._translated():
            parts = self._parts()
            total = sum(size for _, size in parts)
            if at != total:
                raise LostRace("somebody else added a seal")
            if not parts:
                self._begin(1)
                parts = [(_name(1), 0)]
            name, size = parts[-1]
            try:
                self._add(name, data, at=size)
            except HttpResponseError as error:
                if _code(error) != StorageErrorCode.BLOCK_COUNT_EXCEEDS_LIMIT:
                    raise
                self._begin(len(parts) + 1)
                self._add(_name(len(parts) + 1), data, at=0)

    def close(self) -> None:
        """Close the connections."""
        self._container.close()

    def _parts(self) -> list[tuple[str, int]]:
        """Name and size of each blob of the log, in order."""
        found = self._container.list_blobs(name_starts_with=_PREFIX)
        return sorted((blob.name, blob.size) for blob in found if blob.blob_type == BlobType.APPENDBLOB and _PART.fullmatch(blob.name))

    def _begin(self, number: int) -> None:
        """Make a blob, unless somebody else just did."""
        try:
            self._container.get_blob_client(_name(number)).create_append_blob(match_condition=MatchConditions.IfMissing)
        except HttpResponseError as error:
            # There already, in the words of one service or another. If it is not, the append to it says so.
            if error.status_code not in (409, 412):
                raise

    def _add(self, name: str, data: bytes, *, at: int) -> None:
        try:
            self._container.get_blob_client(name).append_block(data, length=len(data), appendpos_condition=at)
        except HttpResponseError as error:
            if error.status_code == 412:
                raise LostRace("somebody else added a seal") from None
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (AzureError, OSError, HTTPException) as error:
            raise SealUnavailable(f"the seals in {self._place}: {_words(error)}") from None

    @property
    def _place(self) -> str:
        return f"{urlsplit(self._container.url).netloc} {self._container.container_name}"


def _name(number: int) -> str:
    return f"{_PREFIX}{number:05}.jsonl"


def _code(error: HttpResponseError) -> str:
    # A member of the enumeration, a plain text for codes that the SDK does not know, or no attribute at all.
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code or ""))


def _words(error: Exception) -> str:
    """Codes and ids only; the SDK's own text may hold addresses."""
    if not isinstance(error, HttpResponseError) or error.status_code is None:
        return f"no answer ({type(error).__name__})"
    headers = getattr(error.response, "headers", None) or {}
    said = f"{error.status_code} {_code(error)} [request {headers.get('x-ms-request-id') or 'without id'}]"
    remedy = _REMEDIES.get(error.status_code)
    return f"{said}; {remedy}" if remedy else said
