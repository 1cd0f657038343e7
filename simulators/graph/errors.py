"""Answers that say no, in the shape of Microsoft Graph's errors (docs page "errors")."""

from collections.abc import Mapping
from typing import Any

GONE_TEXT = "Resource '{}' does not exist or one of its queried reference-property objects are not present."
DENIED_TEXT = "Insufficient privileges to complete the operation."
#: Public scripts and a saved reply show this for every edit of something that Active Directory owns (Graph reference 5.1).
SYNCED_TEXT = (
    "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration."
)
MAIL_TEXT = "Cannot Update a mail-enabled security groups and or distribution list."
MEMBER_TEXT = "One or more added object references already exist for the following modified properties: 'members'."


class GraphError(Exception):
    """One refusal: HTTP status, Graph's code, a sentence, and headers."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self, inner: Mapping[str, str]) -> dict[str, Any]:
        """The JSON body; `inner` carries date, request-id and client-request-id."""
        return {"error": {"code": self.code, "message": self.message, "innerError": dict(inner)}}


def bad_request(message: str, code: str = "Request_BadRequest") -> GraphError:
    """400."""
    return GraphError(400, code, message)


def not_found(what: str) -> GraphError:
    """404 for an object, or for a relation that is not there."""
    return GraphError(404, "Request_ResourceNotFound", GONE_TEXT.format(what))


def denied() -> GraphError:
    """403: one code and one text for several reasons, as the real one."""
    return GraphError(403, "Authorization_RequestDenied", DENIED_TEXT)
