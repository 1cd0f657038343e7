"""What an older picture of the state must forget before it is worked on again.

The directory, the desk and the bus went on meanwhile. Effects that the journal does not know any more are found by their keys: those are
made of deployment, person, episode and step, so the same fact asks for the same key again. What is left are the bookmarks.
"""

from __future__ import annotations

from itertools import count, takewhile

from joinery.engine.health import SUBSCRIBED
from joinery.engine.ports import StateStore
from joinery.engine.sweeps import GROUPS_LINK, INNER_LINK, PEOPLE_LINK


def forget_bookmarks(store: StateStore) -> None:
    """Let the next sweep look at everybody, and the next renewal replace every subscription. Raises StoreUnavailable or LostRace.

    A link newer than the messages beside it would skip looks that were never made; a subscription made after the picture carries a
    secret that may not be ours.
    """
    names = [PEOPLE_LINK]
    for row in (GROUPS_LINK, INNER_LINK):
        numbered = (f"{row}-{number}" for number in count())
        names += takewhile(lambda name: store.read_shared(name)[0] is not None, numbered)
    for name in names:
        etag, stored = store.read_shared(name)
        if stored is not None:
            store.replace_shared(name, {**stored, "link": None}, expected=etag)
    etag, subscribed = store.read_shared(SUBSCRIBED)
    if subscribed is not None:
        store.replace_shared(SUBSCRIBED, {**subscribed, "fingerprint": ""}, expected=etag)
