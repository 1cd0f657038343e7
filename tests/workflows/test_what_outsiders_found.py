"""Stories in which something was lost or hit the wrong one, each told once so that it stays mended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from joinery.domain.person import Manager
from joinery.domain.policy import Policy, Ring, WorkflowPolicy
from joinery.domain.tickets import AddNote, EnsureUser, OpenTicket, Order, Result
from joinery.engine.claims import STEPS_MAX
from joinery.engine.context import Context
from joinery.engine.operations import OperatorLog, operator_partition
from joinery.engine.ports import Commit, DeadLetter
from joinery.engine.recipes import workflow
from joinery.errors import Refused, StoreUnavailable, TryLater
from joinery.testing import TENANT, World, everyone, person


def joined(world: World, identity: str = "ada", **fields: object) -> None:
    world.put(person(identity, groups=("ITSM-NewJoiner",), **fields))
    world.look(identity)
    world.pass_time(minutes=2)


def renamed_and_left(world: World) -> None:
    world.directory.change("ada", mail="married@contoso.example", user_principal_name="married@contoso.example")
    world.look("ada")
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=2)


def test_a_leaver_whose_address_changed_since_the_agent_was_made_loses_the_agent_too() -> None:
    world = World()
    joined(world)
    agent = world.desk.put_agent("ada@contoso.example", "Administrator")
    renamed_and_left(world)
    assert (agent.enabled, agent.roles) == (False, ())
    assert [run.run.status for run in world.runs()] == ["verified", "verified"]


def test_an_agent_with_an_address_that_only_the_past_connects_with_the_leaver_is_for_a_human() -> None:
    """Somebody else may have the address by now: nothing is done to the agent, somebody is told, and the run waits for them."""
    world = World()
    joined(world)
    agent = world.desk.put_agent("ada@contoso.example", "Administrator")
    world.desk.users[0].address = "married@contoso.example"
    renamed_and_left(world)
    assert (agent.enabled, agent.roles) == (True, ("Administrator",))
    assert "alert" in world.actions("ada")
    agent.roles, agent.enabled = (), False
    world.pass_time(minutes=20)
    assert [run.run.status for run in world.runs()] == ["verified", "verified"]


def test_a_user_that_searches_do_not_show_yet_is_deactivated_all_the_same() -> None:
    world = World()
    world.desk.index_lag = timedelta(hours=1)
    joined(world)
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=2)
    assert [(user.id, user.active) for user in world.desk.users] == [("101", False)]


def test_a_person_who_became_protected_is_not_touched_by_a_run_that_began_before() -> None:
    world = World()
    world.desk.fail(TryLater("busy", after=timedelta(minutes=3)), asks=EnsureUser, method="find")
    joined(world)
    world.directory.add_member("g-itsm-breakglass", "ada")
    world.look("ada")
    world.pass_time(hours=3)
    assert world.desk.users == []
    assert world.actions("ada").count("run held") == 1
    world.directory.end_membership("g-itsm-breakglass", "ada")
    world.look("ada")
    world.pass_time(minutes=2)
    assert [run.run.status for run in world.runs()] == ["verified"]


def test_a_run_whose_first_message_was_lost_is_found_by_the_tick() -> None:
    class Lost(BaseException):
        """The process is gone."""

    world = World()
    world.put(person("ada", groups=("ITSM-NewJoiner",)))
    world.look("ada")
    world.clock.advance(minutes=2)
    find = world.desk.find

    def gone(*args: object, **kwargs: object) -> None:
        raise Lost

    world.desk.find = gone  # type: ignore[method-assign,assignment]  # the process dies between the run's commit and its first call
    with pytest.raises(Lost):
        world.work()
    world.desk.find = find  # type: ignore[method-assign]
    world.queue.receive_due()
    world.restart()
    assert world.desk.users == []
    world.clock.advance(minutes=1)
    world.app.tick()
    world.pass_time(minutes=1)
    assert [run.run.status for run in world.runs()] == ["verified"]


def test_what_the_directory_refuses_again_and_again_is_parked_for_a_person() -> None:
    world = World()
    world.put(person("ada"))
    world.directory.fail(Refused("no permission"), times=1000)
    world.look("ada")
    world.pass_time(hours=6)
    (parked,) = world.app.reads.parked()
    assert "no permission" in parked.reason
    assert world.queue.scheduled() == 0


def test_what_was_empty_until_the_person_joined_is_part_of_joining_and_no_move() -> None:
    world = World()
    world.put(person("ada", department=""))
    world.look("ada")
    joined(world, department="Finance", manager=Manager(id="m"))
    facts = [line.record.detail["fact"]["is"] for line in world.audit("ada") if line.record.action == "fact"]
    assert facts == ["Joined"]


def test_the_agent_of_somebody_else_with_the_same_address_is_left_alone_and_a_person_is_told() -> None:
    world = World()
    joined(world, mail="shared@contoso.example")
    agent = world.desk.put_agent("shared@contoso.example", "Administrator")
    world.put(person("bob", mail="shared@contoso.example"))
    world.look("bob")
    world.directory.change("bob", account_enabled=False)
    world.look("bob")
    world.pass_time(minutes=5)
    assert (agent.enabled, agent.roles) == (True, ("Administrator",))
    assert "alert" in world.actions("bob")


def test_a_leaver_whom_the_desk_knows_twice_still_gets_a_ticket_and_a_person_is_told() -> None:
    world = World()
    world.put(person("ada"))
    world.look("ada")
    world.desk.put_user(address="ada@contoso.example")
    world.desk.put_user(address="ada@contoso.example")
    world.directory.change("ada", account_enabled=False)
    world.look("ada")
    world.pass_time(minutes=5)
    assert [(ticket.kind, ticket.user_id) for ticket in world.desk.tickets] == [("offboarding", None)]
    assert "alert" in world.actions("ada")
    world.desk.users.pop()
    world.pass_time(minutes=30)
    assert [run.run.status for run in world.runs()] == ["verified"]
    assert [user.active for user in world.desk.users] == [False]


def test_who_joined_in_shadow_still_leaves_for_real() -> None:
    world = World(replace(everyone(), workflows={"joiner": WorkflowPolicy(ring=Ring.SHADOW), "leaver": WorkflowPolicy()}))
    joined(world)
    assert world.desk.users == []
    user = world.desk.put_user(address="ada@contoso.example", directory_id="ada", name="Ada")
    world.look("ada", times=3)
    world.directory.change("ada", account_enabled=False)
    world.look("ada", times=3)
    world.pass_time(minutes=2)
    assert [(run.run.workflow, run.run.status) for run in world.runs()] == [("joiner", "planned"), ("leaver", "verified")]
    assert not user.active
    assert [ticket.kind for ticket in world.desk.tickets] == ["offboarding"]


def test_a_protected_group_that_is_renamed_still_protects_its_members() -> None:
    world = World()
    world.put(person("root", groups=("ITSM-BreakGlass",)))
    world.look("root")
    world.directory.put_group("g-itsm-breakglass", name="Emergency access")
    world.pass_time(hours=2)
    world.app.hints.groups.refresh()
    assert world.app.hints.groups.missing() == ("ITSM-BreakGlass",)
    world.directory.change("root", account_enabled=False)
    world.look("root")
    world.pass_time(minutes=5)
    assert world.runs() == []
    assert world.audit("root")[-1].record.why.startswith("protected: member of the group")


def test_a_joiner_group_that_was_deleted_and_made_again_is_watched_again() -> None:
    world = World()
    world.app.sweep()
    world.directory.delete_group("g-itsm-newjoiner")
    world.directory.put_group("g-second", name="ITSM-NewJoiner")
    world.queue_up("group:g-itsm-newjoiner", "look_group")
    world.directory.put(person("ada"))
    world.directory.add_member("g-second", "ada")
    world.work()
    world.pass_time(minutes=2)
    assert [ticket.kind for ticket in world.desk.tickets] == ["onboarding"]


def test_a_second_group_with_a_watched_name_changes_nothing_and_stops_nothing() -> None:
    world = World()
    world.app.sweep()
    world.directory.put_group("g-impostor", name="ITSM-NewJoiner")
    world.restart()
    world.app.sweep()
    assert world.app.hints.groups.ids()["ITSM-NewJoiner"] == "g-itsm-newjoiner"
    world.directory.put(person("eve"))
    world.directory.add_member("g-impostor", "eve")
    world.look("eve")
    world.pass_time(minutes=2)
    assert world.runs() == []
    joined(world)
    assert [run.run.status for run in world.runs()] == ["verified"]


def test_a_store_that_fails_right_after_the_ticket_was_made_leaves_the_intent_open() -> None:
    """The search does not show the ticket for a while: performing it again at once would make a second one."""
    world = World()
    world.desk.index_lag = timedelta(seconds=11)
    world.put(person("ada", groups=("ITSM-NewJoiner",)))
    world.look("ada")
    world.clock.advance(minutes=2)
    commit, failed = world.store.commit, []

    def fail_once_after_the_ticket(commit_asked: Commit) -> str:
        if world.desk.tickets and not failed:
            failed.append(commit_asked)
            raise StoreUnavailable("database is locked")
        return commit(commit_asked)

    world.store.commit = fail_once_after_the_ticket
    world.work()
    assert failed
    world.pass_time(minutes=5)
    assert len(world.desk.tickets) == 1
    assert [run.run.status for run in world.runs()] == ["verified"]


def test_pause_stops_the_next_effect_of_a_run_that_is_under_way() -> None:
    world = World()
    perform = world.desk.perform

    def perform_and_pause(order: Order, key: str, *, within: timedelta) -> Result:
        world.app.pauses.pause("*", "stop")
        return perform(order, key, within=within)

    world.desk.perform = perform_and_pause  # type: ignore[method-assign]  # somebody presses pause while the first call is under way
    joined(world)
    assert (len(world.desk.users), world.desk.tickets) == (1, [])
    world.desk.perform = perform  # type: ignore[method-assign]
    world.app.pauses.resume("*")
    world.pass_time(minutes=2)
    assert [run.run.status for run in world.runs()] == ["verified"]


def test_a_defect_of_ours_is_put_back_with_growing_pauses_and_then_parked() -> None:
    world = World()
    world.put(person("ada"))
    world.directory.fail(KeyError("a defect"), times=1000)
    world.look("ada")
    world.pass_time(hours=6)
    (parked,) = world.app.reads.parked()
    assert parked.reason.endswith("KeyError")
    assert world.directory.calls["look"] < 20


def test_a_group_made_while_its_name_was_missing_is_noticed_by_its_first_notification() -> None:
    world = World()
    world.directory.delete_group("g-itsm-newjoiner")
    world.app.sweep()
    assert world.app.hints.groups.missing() == ("ITSM-NewJoiner",)
    world.directory.put_group("g-second", name="ITSM-NewJoiner")
    world.directory.put(person("ada"))
    world.directory.add_member("g-second", "ada")
    assert world.app.hints.groups.watches("g-second")
    world.queue_up("group:g-second", "look_group", members=("ada",))
    world.pass_time(minutes=2)
    assert [ticket.kind for ticket in world.desk.tickets] == ["onboarding"]


def test_a_ticket_that_was_answered_and_not_made_is_reported_although_the_note_on_it_is_stuck() -> None:
    world = World()
    world.desk.ignore(OpenTicket)
    world.desk.fail(Refused("no such ticket"), asks=AddNote, times=100)
    joined(world)
    world.pass_time(minutes=5)
    assert "step unverified" in world.actions("ada")
    (run,) = world.runs()
    assert run.run.status == "open"


def test_a_recipe_with_more_steps_than_fit_into_a_commit_fails_with_the_reason() -> None:
    @workflow(version=1)
    def joiner(ctx: Context) -> None:
        for number in range(STEPS_MAX + 1):
            ctx.step(f"step {number}", lambda: 1)

    from joinery.domain.events import Joined

    world = World(catalogue={Joined: joiner})
    joined(world)
    (run,) = world.runs()
    assert (run.run.status, len(run.steps)) == ("failed", STEPS_MAX)
    assert "more than 40 steps" in run.run.reason


def test_a_look_that_is_dead_lettered_again_and_again_is_parked_for_a_person() -> None:
    world = World()
    world.queue_up("person:ada", "look")
    body = world.queue.receive_due()[0].body
    for _ in range(30):
        world.queue.dead.append(DeadLetter(id="1", body=body, reason="MaxDeliveryCountExceeded"))
        world.app.tick()
        revived = world.queue.receive_due()
        if not revived:
            break
        body = revived[0].body
    (parked,) = world.app.reads.parked()
    assert "MaxDeliveryCountExceeded" in parked.reason


@pytest.mark.parametrize("policy", [Policy(), everyone()])
def test_what_operators_do_has_an_audit_of_its_own_and_is_no_person(policy: Policy) -> None:
    world = World(policy)
    log = OperatorLog(TENANT, store=world.store, clock=world.clock, randomness=world.app.randomness)
    log.record("paused", "an upgrade", by="kim", workflow="*")
    log.record("resumed", "", by="kim", workflow="*")
    lines = list(world.app.reads.audit(operator_partition(TENANT)))
    assert [(line.record.action, line.record.why, line.personal) for line in lines] == [
        ("paused", "an upgrade", {"by": "kim"}),
        ("resumed", "", {"by": "kim"}),
    ]
    assert list(world.app.reads.people()) == []
