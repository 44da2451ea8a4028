"""How workers are started, on this machine."""
