"""The engine: envelopes in, runs out, each step done once and remembered."""
