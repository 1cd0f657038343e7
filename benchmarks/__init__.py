"""Figures, measured here and now: ``make bench`` prints a JSON line per figure and a table."""
