"""What every other package may use: errors, messages, metrics, and this machine."""
