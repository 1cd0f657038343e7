"""State stores: the ports' ``StateStore`` on real ground."""
