"""Random histories of groups, answers, leaves, returns and a desk in trouble: nobody holds what nobody approved, and all ends as it should."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from joinery.domain.person import Manager
from joinery.domain.tickets import AddNote, AskApproval, EnsureAgent, OpenTicket, SetRoles, Verdict
from joinery.errors import OutcomeUnknown, TryLater
from joinery.testing import World, person

FREE = "ITSM-ServiceDesk"
ASKED = {"ITSM-ChangeManagers": "Change Manager", "ITSM-Admins": "Administrator"}
ORDERS = (OpenTicket, AddNote, AskApproval, EnsureAgent, SetRoles)

ACTS = st.one_of(
    st.tuples(st.sampled_from(("gain", "lose")), st.sampled_from((FREE, *ASKED))),
    st.tuples(st.just("answer"), st.booleans()),
    st.tuples(st.sampled_from(("disable", "enable")), st.none()),
    st.tuples(st.sampled_from(("busy", "cut before", "cut after")), st.sampled_from(ORDERS)),
    st.tuples(st.just("hours"), st.integers(1, 5)),
)


class Story:
    """A world, and an account of its own of who may hold what."""

    def __init__(self) -> None:
        self.world = World()
        self.groups: set[str] = set()
        #: Group -> whether it was approved, for the membership of now.
        self.answers: dict[str, bool] = {}
        self.enabled = True
        self.world.put(person("bob"))
        self.world.put(person("ada", manager=Manager(id="bob", mail="bob@contoso.example")))
        for name in ("bob", "ada"):
            self.world.look(name)

    def act(self, what: str, how: Any) -> None:
        getattr(self, f"_{what.replace(' ', '_')}")(how)
        self.world.pass_time(minutes=15)
        self.nobody_holds_what_nobody_approved()

    def _gain(self, group: str) -> None:
        self.groups.add(group)
        self.world.directory.add_member(f"g-{group}".lower(), "ada")
        self.world.look("ada")

    def _lose(self, group: str) -> None:
        self.groups.discard(group)
        self.answers.pop(group, None)
        self.world.directory.end_membership(f"g-{group}".lower(), "ada")
        self.world.look("ada")

    def _disable(self, _: None) -> None:
        self.enabled = False
        self.answers.clear()
        self.world.directory.change("ada", account_enabled=False)
        self.world.look("ada")

    def _enable(self, _: None) -> None:
        self.enabled = True
        self.world.directory.change("ada", account_enabled=True)
        self.world.look("ada")

    def _answer(self, approved: bool) -> None:
        """Whatever has waited longest for the manager and is still about a membership of now."""
        for ticket in self.world.desk.tickets:
            pending = [one for one in ticket.rounds[-1].answers if one.verdict is Verdict.PENDING] if ticket.rounds else []
            group = next((name for name, role in ASKED.items() if f"Role {role}:" in ticket.summary), "")
            if pending and group in self.groups and group not in self.answers and self.enabled:
                self.world.desk.answer(ticket.id, pending[0].asked, approved)
                self.answers[group] = approved
                self.world.app.poll_approvals()
                return

    def _busy(self, order: Any) -> None:
        self.world.desk.fail(TryLater("busy"), asks=order, times=3)

    def _cut_before(self, order: Any) -> None:
        self.world.desk.fail(OutcomeUnknown("cut"), asks=order)

    def _cut_after(self, order: Any) -> None:
        self.world.desk.fail(OutcomeUnknown("cut"), asks=order, after_effect=True)

    def _hours(self, count: int) -> None:
        self.world.pass_time(hours=count)

    @property
    def held(self) -> set[str]:
        return {role for agent in self.world.desk.agents if agent.enabled for role in agent.roles}

    def nobody_holds_what_nobody_approved(self) -> None:
        allowed = {role for group, role in ASKED.items() if self.answers.get(group)}
        # What is to go may take a while where the desk is in trouble; what was never approved must not come at all.
        ever = {role for role in ASKED.values() if any(self._was_approved(ticket, role) for ticket in self.world.desk.tickets)}
        assert self.held <= allowed | ever | {"Service Desk"}

    @staticmethod
    def _was_approved(ticket: Any, role: str) -> bool:
        rows = [one for present in ticket.rounds for one in present.answers]
        return f"Role {role}:" in ticket.summary and any(one.verdict is Verdict.APPROVED for one in rows)

    def end(self) -> None:
        """A quiet day: everything that is wanted is so, and nothing else."""
        self.world.pass_time(hours=24)
        wanted = {role for group, role in ASKED.items() if group in self.groups and self.answers.get(group)}
        wanted |= {"Service Desk"} if FREE in self.groups else set()
        assert self.held == (wanted if self.enabled else set())
        waiting = {role for group, role in ASKED.items() if self.enabled and group in self.groups and group not in self.answers}
        requests = [ticket for ticket in self.world.desk.tickets if ticket.kind == "role"]
        still_open = [ticket.summary.partition(":")[0].removeprefix("Role ") for ticket in requests if not ticket.closed]
        assert sorted(still_open) == sorted(waiting)
        assert len({ticket.key for ticket in requests}) == len(requests)
        assert len(self.world.desk.agents) <= 1
        assert {str(view.run.status) for view in self.world.runs()} <= {"verified", "superseded", "open"}
        open_runs = [view.run for view in self.world.runs() if view.run.closed_at is None]
        assert len(open_runs) == len(waiting)


@given(st.lists(ACTS, max_size=14))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_the_roles_are_what_groups_and_answers_say(history: list[tuple[str, Any]]) -> None:
    story = Story()
    for what, how in history:
        note(f"{what} {how}")
        story.act(what, how)
    story.end()
