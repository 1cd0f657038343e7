"""Facts meet open runs: every cell of the table, and what the cells mean from end to end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joinery.domain.events import AlertRaised, Completed, Fact, Joined, Left, LeftHow, Moved, Renamed, Returned, RolesChanged
from joinery.domain.policy import Policy, Ring, WorkflowPolicy
from joinery.domain.tickets import AddNote, DeactivateUser, OpenTicket
from joinery.engine import codec
from joinery.engine.context import Context
from joinery.engine.journal import Run, RunStatus
from joinery.engine.overlap import COLUMNS, FACT_MEETS_RUN, meet, overlap
from joinery.engine.partition import Partition
from joinery.engine.recipes import Workflow
from joinery.errors import OutcomeUnknown, TryLater
from joinery.testing import World, everyone, person
from workflows import CATALOGUE

ADA = person("ada", groups=("ITSM-NewJoiner",))

FACTS: dict[str, Fact] = {
    "joined": Joined(),
    "left": Left(how=LeftHow.DISABLED),
    "returned": Returned(),
    "completed": Completed(fields=("manager",)),
    "moved": Moved(fields=("department",)),
    "renamed": Renamed(fields=("surname",)),
    "roles-changed": RolesChanged(gained=("ITSM-Admins",)),
}

#: What people were promised, written down a second time on purpose.
PROMISED = {
    "joined": "queue queue queue queue queue queue",
    "left": "supersede supersede supersede supersede supersede queue",
    "returned": "queue queue queue queue ignore withdraw",
    "completed": "complete complete queue queue complete queue",
    "moved": "queue merge queue queue queue queue",
    "renamed": "complete complete merge complete complete queue",
    "roles-changed": "queue queue queue merge queue queue",
}
CELLS = [(kind, column, word) for kind, row in PROMISED.items() for column, word in zip(COLUMNS, row.split(), strict=True)]


def with_run(workflow: str, *, fact: Fact, mode: str = "live", status: RunStatus = RunStatus.OPEN) -> Partition:
    """A partition with one open run."""
    world = World()
    partition = world.app.dispatcher.open_partition("local|person:ada")
    run = Run(
        seq=1,
        id=f"{workflow}-1-1-{mode}-x",
        workflow=workflow,
        version=1,
        fact=codec.tag(fact),
        person=ADA,
        episode=1,
        mode=mode,
        status=status,
        started_at=world.clock.now(),
    )
    partition.start_run(run)
    return partition


@pytest.mark.parametrize(("kind", "workflow", "word"), CELLS)
def test_every_cell_does_what_its_word_says(kind: str, workflow: str, word: str) -> None:
    fact = FACTS[kind]
    partition = with_run(workflow, fact=fact)
    now = ADA.evolve(department="Legal")
    met = meet(partition, fact, now, by="new-run")
    [run] = partition.runs.values()
    assert overlap(fact, workflow) == word
    ends = word in ("supersede", "merge", "withdraw")
    assert met.supersedes == ((1,) if ends else ())
    assert run.status is (RunStatus.SUPERSEDING if ends else RunStatus.OPEN)
    assert run.stopped_by == (kind if word == "withdraw" else "")
    assert run.person.department == ("Legal" if word == "complete" else "Finance")
    assert met.fact == (None if word == "ignore" else fact)


def test_the_table_has_a_row_for_every_fact_and_a_cell_for_every_workflow() -> None:
    assert set(FACT_MEETS_RUN) == set(Fact.__args__)
    assert all(len(cells) == len(COLUMNS) for cells in FACT_MEETS_RUN.values())
    assert {workflow.name for fact, workflow in CATALOGUE.items() if fact is not AlertRaised} <= set(COLUMNS)
    assert set(PROMISED) == set(FACTS) == {fact.kind for fact in FACT_MEETS_RUN}


@pytest.mark.parametrize("kind", FACTS)
def test_a_run_of_a_workflow_without_a_column_queues_and_only_leaving_supersedes_it(kind: str) -> None:
    assert overlap(FACTS[kind], "badge_printer") == ("supersede" if kind == "left" else "queue")


@pytest.mark.parametrize("kind", FACTS)
def test_a_rehearsed_run_is_never_touched(kind: str) -> None:
    for workflow in COLUMNS:
        partition = with_run(workflow, fact=FACTS[kind], mode="shadow")
        assert meet(partition, FACTS[kind], ADA, by="x").supersedes == ()
        assert partition.runs[1].status is RunStatus.OPEN


def test_a_run_that_is_ending_already_is_waited_for_and_not_overtaken_again() -> None:
    partition = with_run("joiner", fact=Joined(), status=RunStatus.SUPERSEDING)
    met = meet(partition, FACTS["left"], ADA, by="x")
    assert met.supersedes == (1,) and partition.head.audit_seq == 0


def test_two_moves_become_one_that_names_the_fields_of_both_in_their_order() -> None:
    partition = with_run("mover", fact=Moved(fields=("department", "manager")))
    met = meet(partition, Moved(fields=("manager", "job_title")), ADA, by="x")
    assert met.fact == Moved(fields=("department", "manager", "job_title"))


# --- from end to end


def slow_desk(world: World, asks: type) -> None:
    """The desk does not take this order for a while."""
    world.desk.fail(TryLater("busy"), asks=asks, times=30)


def joined_world(**more: Workflow) -> World:
    """Ada works here."""
    catalogue = {**CATALOGUE, **dict(zip((Moved, RolesChanged), more.values(), strict=False))}
    names = ("joiner", "leaver", *(one.name for one in more.values()))
    world = World(Policy(workflows={name: WorkflowPolicy(ring=Ring.EVERYONE) for name in names}), catalogue=catalogue)
    world.put(ADA)
    world.look("ada")
    world.pass_time(hours=50)
    return world


def statuses(world: World) -> list[tuple[str, str]]:
    return [(view.run.workflow, str(view.run.status)) for view in world.runs()]


def test_a_return_stops_the_leaver_and_its_ticket_says_so_once() -> None:
    world = joined_world()
    slow_desk(world, DeactivateUser)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=1)
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(hours=5)
    assert statuses(world) == [("joiner", "verified"), ("leaver", "superseded")]
    [offboarding] = [ticket for ticket in world.desk.tickets if ticket.kind == "offboarding"]
    assert [note.text for note in world.desk.notes if note.ticket_id == offboarding.id][1:] == [
        "Joinery stopped this leaver: the person is back. What was done so far stays as it is."
    ]
    assert [user.active for user in world.desk.users] == [True]
    assert "run overtaken" in world.actions("ada")


def test_a_stopped_leavers_ticket_whose_answer_was_lost_is_found_first_and_then_told() -> None:
    world = joined_world()
    world.desk.fail(OutcomeUnknown("cut"), asks=OpenTicket, after_effect=True)
    world.desk.fail(OutcomeUnknown("cut"), asks=AddNote, after_effect=True)
    slow_desk(world, DeactivateUser)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.directory.change("ada", account_enabled=True)
    world.look("ada")
    world.pass_time(hours=5)
    assert statuses(world)[-1] == ("leaver", "superseded")
    assert len([ticket for ticket in world.desk.tickets if ticket.kind == "offboarding"]) == 1
    assert len([note for note in world.desk.notes if "stopped this leaver" in note.text]) == 1


def test_a_manager_who_is_named_while_the_onboarding_waits_is_in_its_ticket() -> None:
    world = World()
    slow_desk(world, OpenTicket)
    world.put(ADA.evolve(department=""))
    world.look("ada")
    world.pass_time(minutes=3)
    world.directory.change("ada", department="Legal")
    world.look("ada")
    world.pass_time(hours=5)
    assert statuses(world) == [("joiner", "verified"), ("renamer", "verified")]
    [ticket] = world.desk.tickets
    assert "Department: Legal" in ticket.details and world.desk.users[0].department == "Legal"
    assert [line.record.why for line in world.audit("ada") if line.record.action == "run updated"] == [
        "goes on with what is known now: department"
    ]


def opens_one(name: str) -> Workflow:
    """A workflow that goes on with the ticket of the run it overtook, or opens one."""

    def recipe(ctx: Context) -> None:
        known = ctx.inherited_tickets
        ticket = (
            known[0] if known else ctx.do("open", OpenTicket(kind="onboarding", person=ctx.person, user_id=None, summary=name, details=""))
        )
        fields = ", ".join(getattr(ctx.fact, "fields", ()))
        ctx.do("say what moved", AddNote(ticket_id=ticket.id, text=f"{name}: {fields} {ctx.person.department}/{ctx.person.job_title}"))

    return Workflow(name=name, version=1, recipe=recipe)


def test_a_second_move_goes_on_with_the_ticket_of_the_first_and_names_both() -> None:
    world = joined_world(moved=opens_one("mover"))
    slow_desk(world, AddNote)
    world.directory.change("ada", department="Legal")
    world.look("ada")
    world.pass_time(minutes=1)
    world.directory.change("ada", job_title="Counsel")
    world.look("ada")
    world.pass_time(hours=5)
    assert statuses(world)[1:] == [("mover", "superseded"), ("mover", "verified")]
    assert len([ticket for ticket in world.desk.tickets if ticket.summary.startswith("mover")]) == 1
    assert [note.text for note in world.desk.notes if note.text.startswith("mover")] == ["mover: department, job_title Legal/Counsel"]


def test_a_role_group_that_is_lost_again_ends_the_run_that_asked_and_another_one_is_about_what_is_wanted_now() -> None:
    world = joined_world(moved=opens_one("mover"), roles=opens_one("role_change"))
    slow_desk(world, AddNote)
    world.directory.add_member("g-itsm-admins", "ada")
    world.look("ada")
    world.pass_time(minutes=1)
    world.directory.end_membership("g-itsm-admins", "ada")
    world.look("ada")
    world.pass_time(hours=5)
    assert statuses(world)[1:] == [("role_change", "superseded"), ("role_change", "verified")]
    [opened] = [ticket for ticket in world.desk.tickets if ticket.summary.startswith("role_change")]
    assert [note.text for note in world.desk.notes if note.ticket_id == opened.id] == ["role_change:  Finance/"]


def test_leaving_overtakes_a_workflow_of_your_own() -> None:
    world = joined_world(moved=opens_one("badge_printer"))
    slow_desk(world, AddNote)
    world.directory.change("ada", department="Legal")
    world.look("ada")
    world.pass_time(minutes=1)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(hours=5)
    assert statuses(world)[1:] == [("badge_printer", "superseded"), ("leaver", "verified")]


def test_leaving_ends_an_open_joiner_even_where_the_leaver_is_switched_off() -> None:
    policy = replace(everyone(), workflows={"joiner": WorkflowPolicy(ring=Ring.EVERYONE)})
    world = World(policy)
    slow_desk(world, OpenTicket)
    world.put(ADA)
    world.look("ada")
    world.pass_time(minutes=3)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(hours=5)
    assert statuses(world) == [("joiner", "superseded")] and not world.desk.tickets
