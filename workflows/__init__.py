"""What happens when somebody joins, moves, leaves, or gains or loses a role: read this dictionary, then the one file it names."""

from joinery.domain.events import AlertRaised, Completed, Joined, Left, Moved, Renamed, RolesChanged
from joinery.engine.recipes import Catalogue
from workflows.alert import alert
from workflows.joiner import joiner
from workflows.leaver import leaver
from workflows.mover import mover
from workflows.renamer import renamer
from workflows.role_change import role_change

#: A fact that is not listed has no recipe yet: it is recorded, and nothing starts.
CATALOGUE: Catalogue = {
    Joined: joiner,
    Completed: renamer,
    Moved: mover,
    Renamed: renamer,
    Left: leaver,
    RolesChanged: role_change,
    AlertRaised: alert,
}
