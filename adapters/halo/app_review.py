"""Our own application in Halo, looked at: whether it is let in, what it may do, and which groups Halo's own import maps."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.halo import wire
from adapters.halo.client import HaloClient
from adapters.halo.names import FIELD, Names
from joinery.errors import Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class HaloAppReview:
    """Asks with the application's own token, and changes nothing. Every method raises TryLater or Refused."""

    client: HaloClient

    def sign_in(self) -> str:
        """Read the agent that we act as, which needs a token. Returns the desk's release, empty where it does not say.

        An application that logs in as something else than an agent is refused here ("login type", Halo reference 1).
        """
        self.client.get("/Agent/me")
        try:
            about = self.client.get("/InstanceInfo")
        except Refused:
            return ""
        return wire.text(about, "version") if isinstance(about, dict) else ""

    def scopes(self) -> frozenset[str] | None:
        """What the token's answer said of its scopes; only some releases say it (Halo reference 1)."""
        return self.client.granted_scopes()

    def may_administer(self) -> bool:
        """Whether webhooks can be listed: of what is published, the one list that takes an administrator to read."""
        try:
            self.client.get("/Webhook")
        except Refused:
            return False
        return True

    def has_field(self, name: str) -> bool:
        """Whether there is a custom field of this name, as far as the list of them may be read."""
        return Names(self.client).find(FIELD, name) is not None

    def imported_groups(self) -> frozenset[str]:
        """Display names in the mapping of Halo's Entra import: ``/azureadmapping``, a bare array (Halo reference 2.2 and 9).

        The rows' ``group_name`` is from the generated model of a public client (``AzureAdMapping``); a mapping by filter names no group.
        """
        rows = wire.rows_of(self.client.get("/azureadmapping"), "/azureadmapping")
        names = frozenset(name for row in rows if (name := wire.text(row, "group_name")))
        if rows and not names:
            raise Refused(f"GET /azureadmapping: none of its {len(rows)} rows names a group")
        return names
