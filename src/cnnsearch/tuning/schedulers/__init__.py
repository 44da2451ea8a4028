"""Schedulers: which trials continue, are paused, resumed or stopped."""
