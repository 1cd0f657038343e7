"""The directory as rules see it: groups by the names that policy uses."""

from __future__ import annotations

from joinery.domain.person import Sighting
from joinery.engine.groups import GroupBook, named
from joinery.engine.ports import Directory


class DirectoryPeople:
    """Looks people up now; every method may raise TryLater or Refused."""

    def __init__(self, directory: Directory, groups: GroupBook) -> None:
        self._directory = directory
        self._groups = groups

    def look(self, person_id: str) -> Sighting:
        """The person now, with manager and the display names of the watched groups they are in; or their absence."""
        ids = self._groups.ids()
        return named(self._directory.look(person_id, ids.values()), ids)

    def by_address(self, address: str) -> str | None:
        """The directory id of the one live account with this address; None where there is none or several."""
        found = self._directory.by_address(address)
        return found.id if found else None
