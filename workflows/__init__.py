"""What happens when somebody joins, moves, is renamed or leaves: read this dictionary, then the one file it names."""

from joinery.domain.events import AlertRaised, Completed, Joined, Left, Moved, Renamed
from joinery.engine.recipes import Catalogue
from workflows.alert import alert
from workflows.joiner import joiner
from workflows.leaver import leaver
from workflows.mover import mover
from workflows.renamer import renamer

#: A fact that is not listed has no recipe yet: it is recorded, and nothing starts.
CATALOGUE: Catalogue = {
    Joined: joiner,
    Completed: renamer,
    Moved: mover,
    Renamed: renamer,
    Left: leaver,
    AlertRaised: alert,
}
