"""Checks `infra/` without Azure: syntax and symbols, roles and local authentication, and that it agrees with the code it is made for.

No Bicep compiler is on any package index, so this knows neither types nor API versions: `az bicep build` and `what-if` still belong before a
deployment. What it knows is what a compiler cannot: which settings the code reads, and which queue it is written for.
"""
