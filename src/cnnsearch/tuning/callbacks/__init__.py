"""Callbacks of a running search: MLflow and the best models."""
