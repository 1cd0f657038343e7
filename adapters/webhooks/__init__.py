"""Plain HTTP to addresses that are nobody's API: the ports' ``AlertSink`` on real ground, and what an address answers to anybody."""
