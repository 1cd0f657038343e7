"""The pretend Halo: a WSGI app that keeps the habits of a HaloITSM tenant, pleasant or not."""

from simulators.halo.app import FAULTS, PretendHalo, create_halo
from simulators.halo.client import sign_in
from simulators.halo.switches import Switches

__all__ = ["FAULTS", "PretendHalo", "Switches", "create_halo", "sign_in"]
