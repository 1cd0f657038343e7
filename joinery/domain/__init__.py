"""Words and rules: what a person is, what changed, what may be done. Standard library only, no I/O."""
