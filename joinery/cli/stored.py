"""What is stored, in the data folder or in the cloud, opened beside a running ``joinery up``: nothing but the store is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joinery.cli.options import settings_from
from joinery.engine.alerts import Cause, alerts_partition, causes
from joinery.engine.erasure import Eraser
from joinery.engine.export import AuditExporter
from joinery.engine.operations import OperatorLog
from joinery.engine.pauses import PauseBoard
from joinery.engine.ports import Clock, StateStore
from joinery.engine.readside import ReadSide
from joinery.engine.verification import AuditVerifier

if TYPE_CHECKING:
    from joinery.domain.policy import Policy
    from joinery.planning import Planner
    from joinery.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """The read side, the pauses, the operators' audit, and what checks and erases, over one store."""

    reads: ReadSide
    pauses: PauseBoard
    log: OperatorLog
    verifier: AuditVerifier
    exporter: AuditExporter
    eraser: Eraser
    tenant: str
    store: StateStore
    clock: Clock
    settings: Settings

    def policy(self) -> Policy:
        """The policy that settings name. Raises ConfigurationError."""
        from wiring import policy_of

        return policy_of(self.settings)

    def in_force(self) -> Policy:
        """That policy, without what of it waits to be applied. Raises ConfigurationError."""
        from joinery.domain.edits import in_force
        from joinery.engine.policy_book import RULES, applied_rules

        applied = applied_rules(self.store.read_shared(RULES)[1])
        return in_force(applied, self.policy()) if applied else self.policy()

    def planner(self) -> Planner:
        """Plans from what is stored, by the rules in force and the recipes of this release. Raises ConfigurationError."""
        from joinery.engine.retry import EngineTiming
        from joinery.planning import Planner, StoredDirectory
        from workflows import CATALOGUE

        return Planner(
            store=self.store,
            directory=StoredDirectory(self.store, self.tenant),
            policy=self.in_force(),
            catalogue=CATALOGUE,
            clock=self.clock,
            tenant=self.tenant,
            deployment=self.settings.deployment,
            timing=EngineTiming(),
        )

    def causes(self) -> tuple[Cause, ...]:
        """The causes of alerts, the latest first."""
        return causes(self.store, self.tenant)

    def ticket_of(self, cause: Cause) -> str | None:
        """The ticket that a cause opened; None where there is none yet."""
        view = self.reads.run(alerts_partition(self.tenant), cause.run) if cause.run is not None else None
        done = [step.result for step in view.steps if step.asks == "OpenTicket" and step.result] if view else []
        return str(done[0]["id"]) if done else None


@contextmanager
def stored(data: str | None, *, policy: str | None = None) -> Iterator[Stored]:
    """Open the state that settings choose.

    Raises ConfigurationError where there is none, StoreUnavailable where it is locked or does not answer.
    """
    from adapters.stores.seals import open_seals
    from adapters.system import SystemClock, SystemRandomness
    from joinery.engine.parking import ParkingLot
    from wiring import open_store

    settings = settings_from(data=data, policy=policy)
    connection = settings.seals_connection.reveal()
    with (
        closing(open_store(settings, existing=True)) as store,
        closing(open_seals(settings.seals, url=settings.seals_url, connection=connection)) as seals,
    ):
        clock, randomness, tenant = SystemClock(), SystemRandomness(), settings.graph_tenant
        lot = ParkingLot(store, clock=clock, randomness=randomness)
        log = OperatorLog(tenant, store=store, clock=clock, randomness=randomness)
        verifier = AuditVerifier(store, seals, tenant=tenant)
        yield Stored(
            reads=ReadSide(store, lot),
            pauses=PauseBoard(store, clock),
            log=log,
            verifier=verifier,
            exporter=AuditExporter(store, verifier, clock=clock),
            eraser=Eraser(store, lot, log, clock=clock, randomness=randomness, shred=store.shred),
            tenant=tenant,
            store=store,
            clock=clock,
            settings=settings,
        )
