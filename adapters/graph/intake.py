"""What Graph posts, read for the engine: the decoder, the proof of origin, and the HTTP status of what is refused."""

from __future__ import annotations

from adapters.graph.notifications import BadBody, BodyTooLarge, content_type_ok, decode, is_genuine
from joinery.engine.intake import Hint, Unacceptable


class GraphIntake:
    """Implements the port ``Intake``. ``client_states`` are the values that prove a sender: the current and the previous one."""

    def __init__(self, client_states: tuple[str, ...]) -> None:
        self._client_states = tuple(value for value in client_states if value)

    def read(self, body: bytes, content_type: str) -> tuple[Hint, ...]:
        """Decode one request. Raises Unacceptable with 415, 413 or 400."""
        if not content_type_ok(content_type):
            raise Unacceptable(415, "send application/json")
        try:
            notifications = decode(body)
        except BodyTooLarge as error:
            raise Unacceptable(413, str(error)) from None
        except BadBody as error:
            raise Unacceptable(400, str(error)) from None
        about = {"user": "person", "group": "group"}
        return tuple(
            Hint(
                genuine=is_genuine(one.client_state, self._client_states),
                about="lifecycle" if one.lifecycle else about.get(one.resource_kind, "other"),
                id=one.lifecycle or one.resource_id,
                members=one.member_ids,
            )
            for one in notifications
        )
