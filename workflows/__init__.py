"""What happens when somebody joins, leaves, or gains or loses a role: read this dictionary, then the one file it names."""

from joinery.domain.events import AlertRaised, Joined, Left, RolesChanged
from joinery.engine.recipes import Catalogue
from workflows.alert import alert
from workflows.joiner import joiner
from workflows.leaver import leaver
from workflows.role_change import role_change

#: A fact that is not listed has no recipe yet: it is recorded, and nothing starts.
CATALOGUE: Catalogue = {
    Joined: joiner,
    Left: leaver,
    RolesChanged: role_change,
    AlertRaised: alert,
}
