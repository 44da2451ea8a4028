"""Which trials are trained on, paused or stopped."""
