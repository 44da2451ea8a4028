"""The commands: what a user types, and what the terminal shows."""
