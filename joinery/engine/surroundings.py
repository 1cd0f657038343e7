"""What a recipe may ask for beside the desk: the rules, the directory, and people."""

from __future__ import annotations

from dataclasses import dataclass

from joinery.domain.policy import Policy
from joinery.engine.approvals import Asker
from joinery.engine.cut_off import CutOffs
from joinery.engine.groups import GroupBook
from joinery.engine.memberships import MembershipEnder
from joinery.engine.policy_book import PolicyBook
from joinery.engine.ports import Directory
from joinery.engine.reports import ReportsTeller


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """One for all runs; a recipe reaches it through its context alone."""

    policies: PolicyBook
    directory: Directory
    groups: GroupBook
    asker: Asker
    memberships: MembershipEnder
    reports: ReportsTeller
    cut_offs: CutOffs

    @property
    def policy(self) -> Policy:
        """The rules in force."""
        return self.policies.now()
