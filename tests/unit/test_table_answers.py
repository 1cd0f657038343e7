"""Every answer of the Table service that is known has a meaning, and so has every exception of the SDK."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import azure.core.exceptions as sdk
import pytest
from azure.data.tables import TableErrorCode, TableTransactionError

from adapters.stores.table_answers import MEANINGS, RAISED, Conflict, Denied, Meaning, NoTable, NotThere, Passing, error_for, meaning_of


def answer(status: int, code: str = "", *, kind: type[sdk.HttpResponseError] = sdk.HttpResponseError, **headers: str) -> Exception:
    error = kind(message="the row p|acme|person:ada")
    error.status_code = status
    error.response = SimpleNamespace(headers={name.replace("_", "-"): value for name, value in headers.items()})  # type: ignore[assignment]
    error.error_code = code  # type: ignore[attr-defined]
    return error


def test_every_code_that_the_sdk_knows_has_a_meaning() -> None:
    assert set(MEANINGS) == set(TableErrorCode)


def test_every_exception_of_the_sdk_is_caught_and_has_a_meaning() -> None:
    kinds = [kind for _, kind in inspect.getmembers(sdk, inspect.isclass) if issubclass(kind, sdk.AzureError)]
    assert len(kinds) > 10
    for kind in kinds:
        assert issubclass(kind, RAISED)
        expected = Meaning.DENIED if issubclass(kind, sdk.ClientAuthenticationError) else Meaning.PASSING
        # Some can only be made from an answer; without one, what was done is unknown.
        error = kind.__new__(kind)
        error.status_code = None  # type: ignore[attr-defined]
        assert meaning_of(error) is expected, kind


@pytest.mark.parametrize(
    ("status", "code", "becomes"),
    [
        (412, "UpdateConditionNotSatisfied", Conflict),
        (412, "", Conflict),
        (409, "EntityAlreadyExists", Conflict),
        (409, "TableBeingDeleted", Passing),
        (404, "ResourceNotFound", NotThere),
        (404, "TableNotFound", NoTable),
        (404, "", NotThere),
        (403, "AuthorizationFailure", Denied),
        (403, "AuthorizationPermissionMismatch", Denied),
        (401, "", Denied),
        (400, "EntityTooLarge", ValueError),
        (400, "KeyValueTooLarge", ValueError),
        (413, "RequestBodyTooLarge", ValueError),
        (500, "InternalError", Passing),
        (500, "OperationTimedOut", Passing),
        (503, "ServerBusy", Passing),
        (408, "", Passing),
        (429, "", Passing),
        (502, "SomethingNew", Passing),
        (307, "", Passing),
        (200, "", Passing),
    ],
)
def test_an_answer_becomes_an_error_that_says_what_to_do_and_names_no_row(status: int, code: str, becomes: type[Exception]) -> None:
    error = error_for(answer(status, code, x_ms_request_id="r-1"))
    assert type(error) is becomes
    assert f"{status}" in str(error) and "r-1" in str(error)
    assert "ada" not in str(error)


def test_an_identity_without_a_token_is_denied_and_its_long_story_is_left_out() -> None:
    error = error_for(sdk.ClientAuthenticationError("EnvironmentCredential: ... ManagedIdentityCredential: ..."))
    assert isinstance(error, Denied)
    assert "no token" in str(error) and "Environment" not in str(error)


def test_a_transaction_says_which_operation_failed() -> None:
    error = TableTransactionError(message="7:The specified resource does not exist.")
    error.status_code, error.error_code = 404, "ResourceNotFound"  # type: ignore[assignment]
    became = error_for(error)
    assert isinstance(became, NotThere) and became.index == 7
