"""HaloITSM as the service desk. Only this folder knows its words; outside it there are orders and results."""
