"""Puts an App together from ports: the same for the cloud, the desk and the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from joinery.app import App
from joinery.domain.events import AlertRaised, Left
from joinery.domain.policy import Policy
from joinery.engine.alerts import AlertDesk, LogOnly
from joinery.engine.answers import AnswerPost
from joinery.engine.approvals import Asker
from joinery.engine.baseline import Baseliner
from joinery.engine.breaker import Breaker, HeldBook
from joinery.engine.checks import LateChecks
from joinery.engine.coverage_watch import CoverageWatch
from joinery.engine.cut_off import CutOffs
from joinery.engine.desk_door import DeskDoor
from joinery.engine.dispatch import Dispatcher
from joinery.engine.dry_run import DryRunServiceDesk
from joinery.engine.erasure import Eraser
from joinery.engine.gate import Gate
from joinery.engine.group_looks import GroupLooks
from joinery.engine.groups import GroupBook
from joinery.engine.health import Health
from joinery.engine.hints import HintReader
from joinery.engine.intake import Intake
from joinery.engine.late_answers import LateAnswers
from joinery.engine.memberships import MembershipEnder
from joinery.engine.operations import OperatorLog
from joinery.engine.parking import ParkingLot
from joinery.engine.partition import Partition
from joinery.engine.pauses import PauseBoard
from joinery.engine.people import DirectoryPeople
from joinery.engine.policy_book import PolicyBook
from joinery.engine.ports import AlertSink, Clock, Directory, MessageQueue, Randomness, SealLog, ServiceDesk, StateStore, Subscriptions
from joinery.engine.promotion import PromotionBook
from joinery.engine.questions import Questions
from joinery.engine.readside import ReadSide
from joinery.engine.recipes import Catalogue
from joinery.engine.reports import ReportsTeller
from joinery.engine.retry import EngineTiming
from joinery.engine.runner import Runner
from joinery.engine.seals import SEAL_EVERY, Sealer
from joinery.engine.standing_orders import StandingOrders, SubscriptionUrls
from joinery.engine.surroundings import Surroundings
from joinery.engine.sweeps import Sweeper
from joinery.engine.upkeep import Upkeep


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """Everything outside."""

    clock: Clock
    randomness: Randomness
    store: StateStore
    queue: MessageQueue
    directory: Directory
    desk: ServiceDesk
    subscriptions: Subscriptions
    intake: Intake
    seals: SealLog
    desk_door: DeskDoor = field(default_factory=DeskDoor)
    alerts: AlertSink = field(default_factory=LogOnly)
    #: Makes what was deleted unreadable in the store's files, where it has any.
    shred: Callable[[], None] = lambda: None


def assemble(
    ports: Ports,
    *,
    policy: Policy,
    catalogue: Catalogue,
    urls: SubscriptionUrls,
    tenant: str,
    deployment: str,
    timing: EngineTiming,
    seal_every: timedelta = SEAL_EVERY,
) -> App:
    """One App over these ports."""
    clock, randomness, store, queue, directory, desk = (
        ports.clock,
        ports.randomness,
        ports.store,
        ports.queue,
        ports.directory,
        ports.desk,
    )
    policies = PolicyBook(policy, store=store, clock=clock)
    groups = GroupBook(policy.watched_groups, store=store, directory=directory, clock=clock)
    parking = ParkingLot(store, clock=clock, randomness=randomness)
    pauses = PauseBoard(store, clock)
    runner = Runner(
        {workflow.name: workflow for workflow in catalogue.values()},
        {"live": desk, "shadow": DryRunServiceDesk(desk)},
        clock=clock,
        randomness=randomness,
        timing=timing,
        deployment=deployment,
        around=Surroundings(
            policies=policies,
            directory=directory,
            groups=groups,
            asker=Asker(people=DirectoryPeople(directory, groups), policy=policy, store=store, clock=clock),
            memberships=MembershipEnder(directory=directory, groups=groups, clock=clock),
            reports=ReportsTeller(directory=directory, queue=queue, clock=clock),
            cut_offs=CutOffs(directory=directory, groups=groups, policies=policies, queue=queue, clock=clock),
        ),
    )

    breaker = Breaker(store=store, clock=clock, policy=policy.breaker)
    held = HeldBook(store)
    promotions = PromotionBook(store)

    def open_partition(name: str) -> Partition:
        return Partition(name, store=store, queue=queue, clock=clock, randomness=randomness)

    checks = LateChecks(
        desk,
        policies=policies,
        clock=clock,
        randomness=randomness,
        timing=timing,
        deployment=deployment,
        leave_workflow=catalogue[Left].name if Left in catalogue else None,
    )
    gate = Gate(store=store, policy=policy, breaker=breaker, held=held, promotions=promotions, clock=clock)
    answers = AnswerPost(store=store, queue=queue, desk=desk, clock=clock, every=timing.approvals_polled_every)
    dispatcher = Dispatcher(
        open_partition=open_partition,
        store=store,
        directory=directory,
        groups=groups,
        policies=policies,
        catalogue=catalogue,
        runner=runner,
        checks=checks,
        pauses=pauses,
        gate=gate,
        questions=Questions(
            answers=answers,
            late=LateAnswers(desk=desk, answers=answers, pauses=pauses, timing=timing, deployment=deployment),
            away_groups=frozenset(policy.approvals.away_groups),
        ),
        clock=clock,
        timing=timing,
        deployment=deployment,
    )
    return App(
        tenant=tenant,
        clock=clock,
        randomness=randomness,
        store=store,
        queue=queue,
        intake=ports.intake,
        dispatcher=dispatcher,
        answers=answers,
        desk_door=ports.desk_door,
        group_looks=GroupLooks(store=store, queue=queue, directory=directory, groups=groups, clock=clock),
        hints=HintReader(tenant=tenant, groups=groups, clock=clock),
        sweeper=Sweeper(tenant=tenant, store=store, queue=queue, directory=directory, groups=groups, clock=clock),
        alerts=AlertDesk(
            open_partition=open_partition,
            store=store,
            runner=runner,
            checks=checks,
            pauses=pauses,
            sink=ports.alerts,
            clock=clock,
            timing=timing,
            deployment=deployment,
            workflow=catalogue.get(AlertRaised) if "alert" in policy.desk.tickets else None,
        ),
        orders=StandingOrders(store=store, subscriptions=ports.subscriptions, urls=urls, clock=clock),
        pauses=pauses,
        breaker=breaker,
        held=held,
        promotions=promotions,
        baseliner=Baseliner(
            tenant=tenant,
            open_partition=open_partition,
            store=store,
            directory=directory,
            groups=groups,
            policies=policies,
            gate=gate,
            clock=clock,
        ),
        parking=parking,
        upkeep=Upkeep(
            sealer=Sealer(store, ports.seals, clock=clock, every=seal_every),
            coverage=CoverageWatch(tenant=tenant, store=store, queue=queue, clock=clock),
            eraser=Eraser(
                store,
                parking,
                OperatorLog(tenant, store=store, clock=clock, randomness=randomness),
                clock=clock,
                randomness=randomness,
                shred=ports.shred,
            ),
        ),
        reads=ReadSide(store, parking),
        vitals=Health(
            tenant=tenant,
            store=store,
            queue=queue,
            groups=groups,
            pauses=pauses,
            policies=policies,
            clock=clock,
            fingerprint=urls.fingerprint,
        ),
    )
