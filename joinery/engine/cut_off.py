"""Cutting somebody who left off in the directory: a target state, so trying again is harmless, and a read shows whether it is so.

Whoever is enabled in that moment may have come back, and is not touched; so every try begins with a look of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from joinery.domain.changes import RETURNING
from joinery.domain.cut_off import NAMED, Cut, CutOff, End, KeptGroups, sorted_out
from joinery.domain.groups import DirectGroup
from joinery.domain.identity import classify
from joinery.domain.moments import from_text, to_text
from joinery.domain.person import Absence
from joinery.engine import codec
from joinery.engine.effects import REFUSED_PREFIX
from joinery.engine.envelope import Envelope, EnvelopeKind, person_subject
from joinery.engine.groups import GroupBook, named
from joinery.engine.journal import Run, Step, StepState
from joinery.engine.partition import Partition
from joinery.engine.policy_book import PolicyBook
from joinery.engine.ports import Clock, Directory, MessageQueue, Outgoing
from joinery.errors import OutcomeUnknown, Refused, StoreUnavailable, TryLater, Waiting

#: What a step asks for that cuts something off.
CUTS = {Cut.SESSIONS: "cut-off of sessions", Cut.GROUPS: "cut-off of groups"}
#: The cause of the look at whoever was enabled again.
ENABLED_AGAIN = "enabled again"

#: Pause between two looks: replicas of the directory lag. It doubles, up to the longest, while nothing gets better.
_AGAIN, _AGAIN_MAX = timedelta(minutes=1), timedelta(minutes=15)
#: Looks that have to show the account enabled before it counts.
_LOOKS = 3
#: Memberships that are ended in one go; then whatever else came for the person has its turn.
ROUND, _BETWEEN = 20, timedelta(seconds=2)
#: After so long a look is old, and where the directory is slow the next membership has another one.
_LOOK_LASTS = timedelta(seconds=20)
#: More groups than this are left to people: their ids would not fit one row.
GROUPS_MAX = 5000
#: Tries without any progress, an hour's worth, after which a group that the directory refuses to edit is left to people, if it let them out
#: of another: where it refuses all of them, a permission may still come.
_REFUSALS = 8
#: After so long everything is.
_HORIZON = timedelta(hours=48)

#: For msgspec to learn it in one thread.
_CUT_OFF = codec.stored(CutOff)


@codec.stored
@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a step is that is not done."""

    #: How many looks, one after the other, showed the account enabled.
    enabled: int = 0
    #: The last look did not find it at all.
    absent: bool = False
    #: Ids of the groups that they are taken out of, written down before the first call; names of the first of them.
    tried: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    #: Ids of those that the directory refused to edit when it was last asked to, and of those that are left to people because of that.
    denied: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    #: Ids of those that were still to end when the memberships were last listed.
    listed: tuple[str, ...] = ()

    #: Somebody was told that the directory refuses.
    told: bool = False
    #: Sessions: from when on sign-ins counted before the first call; empty where nothing was known.
    asked: bool = False
    valid_from: str = ""

    def gone(self, *, here: Collection[str] = ()) -> tuple[int, tuple[str, ...]]:
        """How many groups they were taken out of, and the names of the first; not those that refused it, nor those ``here``, which list them."""
        stay = {*self.denied, *here}
        names = (name for group_id, name in zip(self.tried, self.names, strict=False) if group_id not in stay)
        return sum(group_id not in stay for group_id in self.tried), tuple(names)


class _NotYet(Exception):
    """It goes on later: after ``after``, or after a pause that grows."""

    def __init__(self, why: str, after: timedelta | None = None) -> None:
        super().__init__(why)
        self.after = after


@dataclass(frozen=True, kw_only=True, slots=True)
class CutOffs:
    """One for all runs."""

    directory: Directory
    groups: GroupBook
    policies: PolicyBook
    queue: MessageQueue
    clock: Clock

    def settle(self, partition: Partition, run: Run, step: Step, cut: Cut) -> Step:
        """Bring the step to ``DONE``; its result is a ``CutOff``. Only in a live run anything is touched. Raises Waiting."""
        now = self.clock.now()
        if step.due is not None and now < step.due:
            raise Waiting(until=step.due, why=f"{step.name}: {step.trouble}")
        began = step.first_tried_at or now
        if step.due is not None and now - step.due > _AGAIN_MAX:
            # It was due long ago and nobody tried: the run was paused, or all of us were down. That time does not count.
            began = now
        work = _Work(self, partition, run, replace(step, first_tried_at=began), cut)
        least = timedelta(0)
        try:
            done = work.outcome()
        except StoreUnavailable:
            raise
        except _NotYet as pause:
            trouble, after = str(pause), pause.after
        except Refused as error:
            trouble, after = f"{REFUSED_PREFIX}{error}", None
            work.tell(trouble)
        except (TryLater, OutcomeUnknown) as error:
            # However short a pause the directory asks for: ours grows all the same.
            trouble, after, least = str(error), None, getattr(error, "after", None) or least
        else:
            return work.ended(done)
        if now - began >= _HORIZON:
            partition.alert(f"{step.name} was given up: {trouble}", run=run.id, step=step.name)
            return work.ended(work.given_up(), trouble)
        # From the answer on, which may have taken its time.
        until = self.clock.now() + (after if after is not None else max(least, min(_AGAIN * 2 ** min(work.step.tries, 4), _AGAIN_MAX)))
        partition.save_step(run, replace(work.step, tries=work.step.tries + 1, due=until, trouble=trouble))
        raise Waiting(until=until, why=f"{step.name}: {trouble}")


class _Work:
    """One try of one step."""

    def __init__(self, tools: CutOffs, partition: Partition, run: Run, step: Step, cut: Cut) -> None:
        self._tools = tools
        self._partition = partition
        self._run = run
        self._cut = cut
        self.step = step
        self._progress = codec.from_document(step.result or {}, Progress)
        #: When the look of this try was made, on the monotonic clock.
        self._looked_at = 0.0

    def outcome(self) -> CutOff:
        """What came of it. Raises _NotYet, or what the directory raises."""
        stop = self._what_stops_it()
        if stop is not None:
            return stop
        return self._sessions() if self._cut is Cut.SESSIONS else self._groups()

    def ended(self, done: CutOff, why: str = "") -> Step:
        """The step is over, and the audit says how."""
        detail: dict[str, Any] = {"what": str(self._cut), "removed": done.removed, "kept": {str(one.why): one.count for one in done.kept}}
        if done.end in (End.DONE, End.PLANNED):
            self._partition.audit("cut off", str(done.end), run=self._run.id, step=self.step.name, **detail)
        else:
            self._partition.audit("not cut off", why or str(done.end), run=self._run.id, step=self.step.name, **detail)
        # What the directory took and does not show for days is no success.
        verified = done.end is not End.REFUSED
        result = codec.to_document(done)
        step = replace(self.step, state=StepState.DONE, result=result, verified=verified, due=None, trouble="")
        return self._partition.save_step(self._run, step)

    def given_up(self) -> CutOff:
        """What the directory still showed when it was last asked, it shows for days."""
        return self._so_far(End.REFUSED, here=self._progress.listed)

    def _so_far(self, end: End, *, kept: tuple[KeptGroups, ...] = (), here: Collection[str] = ()) -> CutOff:
        removed, names = self._progress.gone(here=here)
        return CutOff(end=end, removed=removed, names=names, kept=kept)

    def tell(self, trouble: str) -> None:
        """Somebody has to grant something, most likely: said once, at the second refusal."""
        if self.step.tries and not self._progress.told:
            why = f"{self.step.name}: {trouble}"
            cause = "the directory refuses what is cut off for leavers; once that is mended, it goes on by itself"
            self._partition.alert(why, cause=cause, run=self._run.id, step=self.step.name)
            self._remember(told=True)

    def _remember(self, **changes: object) -> None:
        self._progress = replace(self._progress, **changes)  # type: ignore[arg-type]  # fields of Progress
        self.step = replace(self.step, result=codec.to_document(self._progress))

    def _written_down(self, **changes: object) -> None:
        """Committed before the first call, so that whoever goes on after a crash knows."""
        self._remember(**changes)
        self._partition.save_step(self._run, self.step)
        self._partition.commit()

    def _what_stops_it(self) -> CutOff | None:
        """A look of our own, right before each try."""
        tools, person_id = self._tools, self._run.person.id
        ids = tools.groups.ids()
        self._looked_at = tools.clock.monotonic()
        sighting = named(tools.directory.look(person_id, ids.values()), ids)
        if isinstance(sighting, Absence):
            if sighting.soft_deleted or self._progress.absent:
                # A restored account lacks what it was taken out of before.
                return self._so_far(End.GONE)
            self._remember(absent=True)
            raise _NotYet("the account is not there; absence is believed at the second look", after=_AGAIN)
        kind = classify(sighting, tools.policies.now().identity)
        if not kind.may_be_acted_upon:
            self._partition.audit("left alone", f"{kind.kind}: {kind.proof}", run=self._run.id, step=self.step.name)
            return self._so_far(End.LEFT_ALONE)
        if not sighting.account_enabled:
            # Replicas lag: this one may be behind the one that showed them enabled, to us or to the look that the message was about.
            doubtful = self._progress.enabled > 0 or RETURNING in self._partition.head.known.doubts
            self._remember(enabled=0, absent=False)
            if doubtful:
                raise _NotYet("the account was shown as enabled a moment ago: they may be back", after=_AGAIN)
            return None
        self._remember(absent=False)
        if self._progress.enabled + 1 < _LOOKS:
            self._remember(enabled=self._progress.enabled + 1)
            raise _NotYet("the account is enabled: they may be back", after=_AGAIN)
        tenant = self._partition.name.partition("|")[0]
        subject, now = person_subject(person_id), tools.clock.now()
        look = Envelope(tenant=tenant, subject=subject, kind=EnvelopeKind.LOOK, cause=ENABLED_AGAIN, at=now)
        tools.queue.send([Outgoing(body=look.encode(), session_id=look.session_id)])
        return self._so_far(End.ENABLED)

    def _sessions(self) -> CutOff:
        if self._run.mode != "live":
            return CutOff(end=End.PLANNED)
        directory, person_id = self._tools.directory, self._run.person.id
        if not self._progress.asked:
            before = directory.sessions_valid_from(person_id)
            self._written_down(asked=True, valid_from=to_text(before) if before else "")
        elif self._have_ended():
            return CutOff(end=End.DONE)
        directory.revoke_sessions(person_id)
        if self._have_ended():
            return CutOff(end=End.DONE)
        raise _NotYet("the directory still shows the sessions as valid")

    def _have_ended(self) -> bool:
        """Compared by the directory's clock alone: ours may be minutes off."""
        now = self._tools.directory.sessions_valid_from(self._run.person.id)
        before = self._progress.valid_from
        return now is not None and (not before or now > from_text(before))

    def _groups(self) -> CutOff:
        progress, keep = self._progress, self._tools.policies.now().cut_off.keep_groups
        listed = self._tools.directory.groups_of(self._run.person.id)
        leave, kept = sorted_out(listed, keep=keep, refused=progress.refused)
        if self._run.mode != "live":
            return CutOff(end=End.PLANNED, removed=len(leave), names=tuple(group.name for group in leave[:NAMED]), kept=kept)
        if not leave:
            return self._so_far(End.DONE, kept=kept, here={group.id for group in listed})
        if not progress.listed or len(leave) < len(progress.listed):
            # It gets better: no reason for longer pauses.
            self.step = replace(self.step, tries=0)
        here = tuple(group.id for group in leave)
        fresh = [group for group in leave if group.id not in progress.tried][:ROUND]
        if len(progress.tried) + len(fresh) > GROUPS_MAX:
            raise Refused(f"they are in more than {GROUPS_MAX} groups, which is left to people")
        if fresh:
            ids = [group.id for group in fresh]
            self._partition.audit("taken out of groups", run=self._run.id, step=self.step.name, groups=ids)
            names = (*progress.names, *(group.name for group in fresh))[:NAMED]
            self._written_down(tried=(*progress.tried, *ids), names=names, listed=here)
        else:
            self._remember(listed=here)
        self._take_out(fresh or leave[:ROUND], first=bool(fresh))
        raise _NotYet("the memberships are listed once more", after=_BETWEEN if fresh else None)

    def _take_out(self, groups: Sequence[DirectGroup], *, first: bool) -> None:
        """A call for each. What is refused does not keep the others; it is refused in the end, or for good. ``first``: none was tried before."""
        asked: list[str] = []
        refusals: list[tuple[str, Refused]] = []
        try:
            for group in groups:
                if asked and self._tools.clock.monotonic() - self._looked_at >= _LOOK_LASTS.total_seconds():
                    # The directory is slow: the rest has its turn after a look of its own.
                    break
                asked.append(group.id)
                try:
                    self._tools.directory.remove_member(group.id, self._run.person.id)
                except Refused as error:
                    refusals.append((group.id, error))
                except TryLater:
                    asked.pop()
                    raise
        finally:
            self._remember_asked(asked, tuple(group_id for group_id, _ in refusals), never=len(groups) - len(asked) if first else 0)
        if refusals and (self.step.tries < _REFUSALS or not self._progress.gone(here=self._progress.listed)[0]):
            raise refusals[0][1]
        for group_id, refusal in refusals:
            self._partition.audit("membership stays", str(refusal), run=self._run.id, step=self.step.name, group=group_id)
        self._remember(refused=(*self._progress.refused, *(group_id for group_id, _ in refusals)))

    def _remember_asked(self, asked: Collection[str], no: tuple[str, ...], *, never: int) -> None:
        """What came of a round, also of one that broke off: the last ``never`` of those that were written down were not asked for."""
        progress = self._progress
        tried = progress.tried[: len(progress.tried) - never]
        denied = (*(one for one in progress.denied if one not in asked), *no)
        self._remember(tried=tried, names=progress.names[: len(tried)], denied=denied)


def groups_left(step: Step) -> CutOff:
    """What a step has taken somebody out of, however far it is: for the tickets of a run that is stopped, since whoever is back needs it."""
    if step.asks != CUTS[Cut.GROUPS] or not step.result:
        return CutOff(end=End.DONE)
    if step.state is StepState.DONE:
        return codec.from_document(step.result, CutOff)
    removed, names = codec.from_document(step.result, Progress).gone()
    return CutOff(end=End.DONE, removed=removed, names=names)
