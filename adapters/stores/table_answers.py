"""Every answer of the Table service that we know, and what it means to us: one table.

Sources: "table-service-error-codes", "common-rest-api-error-codes", azure-core's exceptions.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from http.client import HTTPException

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.data.tables import TableErrorCode as Code
from azure.data.tables import TableTransactionError

from joinery.errors import JoineryError, StoreUnavailable

#: What a call of the SDK may raise: its own errors, a connection that ends within an answer, an answer of a transaction that is no HTTP.
RAISED = (AzureError, OSError, HTTPException)


class Meaning(Enum):
    """What to do about an answer."""

    CONFLICT = "the row is not the one expected, or is there already"
    MISSING = "the row is not there"
    NO_TABLE = "the table is not there"
    DENIED = "we may not"
    PASSING = "ask again"
    REFUSED = "never"


MEANINGS: dict[str, Meaning] = {
    **dict.fromkeys(
        (
            Code.CONDITION_NOT_MET,
            Code.UPDATE_CONDITION_NOT_SATISFIED,
            Code.ENTITY_ALREADY_EXISTS,
            Code.RESOURCE_ALREADY_EXISTS,
            Code.TABLE_ALREADY_EXISTS,
            Code.ACCOUNT_ALREADY_EXISTS,
        ),
        Meaning.CONFLICT,
    ),
    **dict.fromkeys((Code.RESOURCE_NOT_FOUND, Code.ENTITY_NOT_FOUND), Meaning.MISSING),
    Code.TABLE_NOT_FOUND: Meaning.NO_TABLE,
    **dict.fromkeys(
        (
            Code.AUTHENTICATION_FAILED,
            Code.AUTHORIZATION_FAILURE,
            Code.INSUFFICIENT_ACCOUNT_PERMISSIONS,
            Code.INVALID_AUTHENTICATION_INFO,
            Code.NO_AUTHENTICATION_INFORMATION,
            Code.ACCOUNT_IS_DISABLED,
        ),
        Meaning.DENIED,
    ),
    **dict.fromkeys(
        (Code.SERVER_BUSY, Code.INTERNAL_ERROR, Code.OPERATION_TIMED_OUT, Code.TABLE_BEING_DELETED, Code.ACCOUNT_BEING_CREATED),
        Meaning.PASSING,
    ),
    **dict.fromkeys(
        (
            Code.CONDITION_HEADERS_NOT_SUPPORTED,
            Code.DUPLICATE_PROPERTIES_SPECIFIED,
            Code.EMPTY_METADATA_KEY,
            Code.ENTITY_TOO_LARGE,
            Code.HOST_INFORMATION_NOT_PRESENT,
            Code.INVALID_DUPLICATE_ROW,
            Code.INVALID_HEADER_VALUE,
            Code.INVALID_HTTP_VERB,
            Code.INVALID_INPUT,
            Code.INVALID_MD5,
            Code.INVALID_METADATA,
            Code.INVALID_QUERY_PARAMETER_VALUE,
            Code.INVALID_RANGE,
            Code.INVALID_RESOURCE_NAME,
            Code.INVALID_URI,
            Code.INVALID_VALUE_TYPE,
            Code.INVALID_XML_DOCUMENT,
            Code.INVALID_XML_NODE_VALUE,
            Code.JSON_FORMAT_NOT_SUPPORTED,
            Code.MD5_MISMATCH,
            Code.METADATA_TOO_LARGE,
            Code.METHOD_NOT_ALLOWED,
            Code.MISSING_CONTENT_LENGTH_HEADER,
            Code.MISSING_REQUIRED_HEADER,
            Code.MISSING_REQUIRED_QUERY_PARAMETER,
            Code.MISSING_REQUIRED_XML_NODE,
            Code.MULTIPLE_CONDITION_HEADERS_NOT_SUPPORTED,
            Code.NOT_IMPLEMENTED,
            Code.OUT_OF_RANGE_INPUT,
            Code.OUT_OF_RANGE_QUERY_PARAMETER_VALUE,
            Code.PROPERTIES_NEED_VALUE,
            Code.PROPERTY_NAME_INVALID,
            Code.PROPERTY_NAME_TOO_LONG,
            Code.PROPERTY_VALUE_TOO_LARGE,
            Code.REQUEST_BODY_TOO_LARGE,
            Code.REQUEST_URL_FAILED_TO_PARSE,
            Code.RESOURCE_TYPE_MISMATCH,
            Code.TOO_MANY_PROPERTIES,
            Code.UNSUPPORTED_HEADER,
            Code.UNSUPPORTED_HTTP_VERB,
            Code.UNSUPPORTED_QUERY_PARAMETER,
            Code.UNSUPPORTED_XML_NODE,
            Code.X_METHOD_INCORRECT_COUNT,
            Code.X_METHOD_INCORRECT_VALUE,
            Code.X_METHOD_NOT_USING_POST,
        ),
        Meaning.REFUSED,
    ),
}
#: For a code that we do not know, or none: the status decides.
STATUSES: dict[int, Meaning] = {
    401: Meaning.DENIED,
    403: Meaning.DENIED,
    404: Meaning.MISSING,
    408: Meaning.PASSING,
    409: Meaning.CONFLICT,
    412: Meaning.CONFLICT,
    429: Meaning.PASSING,
}


class Conflict(JoineryError):
    """A condition did not hold; nothing was written."""


class NotThere(JoineryError):
    """A row is not there; nothing was written. ``index`` is its place in the transaction."""

    def __init__(self, message: str, *, index: int = 0) -> None:
        super().__init__(message)
        self.index = index


class NoTable(JoineryError):
    """The table is not there."""


class Denied(JoineryError):
    """Credentials or permissions do not suffice."""


class Passing(StoreUnavailable):
    """No answer, or one that says: later. Whether something was written is unknown."""


def meaning_of(error: Exception) -> Meaning:
    """What an exception from the SDK means."""
    if not isinstance(error, HttpResponseError) or error.status_code is None:
        return Meaning.DENIED if isinstance(error, ClientAuthenticationError) else Meaning.PASSING
    found = MEANINGS.get(_code(error)) or STATUSES.get(error.status_code)
    return found or (Meaning.REFUSED if 400 <= error.status_code < 500 else Meaning.PASSING)


def error_for(error: Exception) -> Exception:
    """The error of ours for an exception from the SDK. Its text names codes and ids only; the SDK's may hold addresses of rows."""
    said = f"the table service {_words(error)}"
    match meaning_of(error):
        case Meaning.CONFLICT:
            return Conflict(said)
        case Meaning.MISSING:
            return NotThere(said, index=error.index if isinstance(error, TableTransactionError) else 0)
        case Meaning.NO_TABLE:
            return NoTable(said)
        case Meaning.DENIED:
            return Denied(said)
        case Meaning.REFUSED:
            return ValueError(said)
        case Meaning.PASSING:
            return Passing(said, after=_retry_after(error))


def _code(error: HttpResponseError) -> str:
    # Plain text in a transaction's answer, a member of the enumeration elsewhere; it is not an attribute of every error.
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code or ""))


def _words(error: Exception) -> str:
    if isinstance(error, ClientAuthenticationError) and error.status_code is None:
        return f"was not asked, because there is no token for it ({type(error).__name__})"
    if not isinstance(error, HttpResponseError) or error.status_code is None:
        return f"does not answer ({type(error).__name__})"
    return f"says {error.status_code} {_code(error)} [request {_header(error, 'x-ms-request-id') or 'without id'}]"


def _retry_after(error: Exception) -> timedelta | None:
    after = _header(error, "Retry-After")
    return timedelta(seconds=int(after)) if after.isdecimal() else None


def _header(error: Exception, name: str) -> str:
    # Of an answer within a transaction's answer the SDK keeps less than of others.
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return str(headers.get(name) or "")
