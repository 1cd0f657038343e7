"""Where a user keeps the id of the directory account that it stands for: a member of its own, or a custom field of the tenant's."""

from __future__ import annotations

from adapters.halo import wire
from joinery.domain.person import Person


class DirectoryLink:
    """Reads and writes it. ``azureoid`` may not be writable everywhere, or an import of the tenant's may rewrite it (reference 13)."""

    def __init__(self, name: str) -> None:
        #: The name of the member or the field, by which lists are searched.
        self.name = name
        self._is_custom = name.startswith("CF")

    def of(self, row: wire.Row) -> str:
        """The id on a user; empty where there is none."""
        if not self._is_custom:
            return wire.text(row, self.name)
        return wire.custom_field(row, self.name)

    def is_persons(self, row: wire.Row, person: Person) -> bool:
        """Whether a user is linked to this person's account."""
        return wire.same(self.of(row), person.id)

    def shown_in(self, row: wire.Row) -> bool:
        """Whether a row of a list would show it."""
        return ("customfields" if self._is_custom else self.name) in row

    def members(self, person: Person) -> wire.Row:
        """What links a user to this person's account."""
        return {"customfields": [{"name": self.name, "value": person.id}]} if self._is_custom else {self.name: person.id}
