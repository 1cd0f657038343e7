"""Joinery turns identity changes into service-desk work that is done once, in order, and proven."""

__version__ = "0.1.0"
