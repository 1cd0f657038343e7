"""What happens when somebody joins or leaves: read this dictionary, then the one file it names."""

from joinery.domain.events import AlertRaised, Joined, Left
from joinery.engine.recipes import Catalogue
from workflows.alert import alert
from workflows.joiner import joiner
from workflows.leaver import leaver

#: A fact that is not listed has no recipe yet: it is recorded, and nothing starts.
CATALOGUE: Catalogue = {
    Joined: joiner,
    Left: leaver,
    AlertRaised: alert,
}
