"""Calls that tell others something: the ports' ``AlertSink`` on real ground."""
