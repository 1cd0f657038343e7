"""A workflow is a recipe with a name and a version; the catalogue says which fact it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from joinery.domain.events import AlertRaised, Fact
from joinery.engine.context import Context

Recipe = Callable[[Context], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Workflow:
    """A named recipe. A run is pinned to the version with which it began, so earlier recipes stay until their runs have ended."""

    name: str
    version: int
    recipe: Recipe
    #: Version -> the recipe of that version.
    earlier: Mapping[int, Recipe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if wrong := [version for version in self.earlier if not 0 < version < self.version]:
            raise ValueError(f"workflow {self.name!r} has version {self.version}; {wrong} cannot be earlier ones")

    def recipe_of(self, version: int) -> Recipe | None:
        """The recipe with which a run of this version goes on; None where this release has none."""
        return self.recipe if version == self.version else self.earlier.get(version)


#: Fact class -> the workflow that answers it.
Catalogue = Mapping[type[Fact] | type[AlertRaised], Workflow]


def workflow(*, version: int, earlier: Mapping[int, Recipe] | None = None) -> Callable[[Recipe], Workflow]:
    """Make a recipe a workflow that is named after its function.

    Whoever changes what a recipe asks for raises ``version`` and keeps the old function under its number in ``earlier``.
    """

    def name_it(recipe: Recipe) -> Workflow:
        return Workflow(name=recipe.__name__, version=version, recipe=recipe, earlier=dict(earlier or {}))

    return name_it
