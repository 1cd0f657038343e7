"""A process that spends the call budget of a SQLite store until there is no more, and prints how often it could."""

from __future__ import annotations

import sys
from pathlib import Path

from adapters.stores.sqlite import SqliteStateStore
from adapters.system import SystemClock, SystemRandomness
from joinery.engine.budget import LeasedCallBudget
from joinery.errors import BudgetSpent

store = SqliteStateStore(Path(sys.argv[1]))
budget = LeasedCallBudget(store, clock=SystemClock(), randomness=SystemRandomness(), calls=300)
print("ready", flush=True)
sys.stdin.readline()
spent = 0
try:
    while True:
        budget.spend()
        spent += 1
except BudgetSpent:
    print(spent, flush=True)
