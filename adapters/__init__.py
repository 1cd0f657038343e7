"""The outside world, one small house per vendor. Adapters see ``joinery.domain`` and the ports, and nobody but ``wiring`` sees adapters."""
