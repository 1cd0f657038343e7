"""Somebody has a new name or address, or what was empty when they joined was filled: the desk's user gets it too, and it is the same user."""

from __future__ import annotations

from joinery.domain.tickets import FindUser, UpdateUser
from joinery.engine.context import Context
from joinery.engine.recipes import workflow


@workflow(version=1)
def renamer(ctx: Context) -> None:
    """Runs when a name, the mail address or the sign-in name changed and settled, and when the record of a new joiner was completed.

    Whoever is no user of the desk is none afterwards.
    """
    user = ctx.do("find the person on the desk", FindUser(person=ctx.person, known_id=ctx.known_user_id))
    if user.id is not None:
        ctx.do("bring the person's user on the desk in line", UpdateUser(person=ctx.person, user_id=user.id))
