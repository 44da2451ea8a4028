"""Launchers: how workers are started."""
