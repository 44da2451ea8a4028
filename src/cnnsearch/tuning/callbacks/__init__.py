"""What a running search tells: the terminal, MLflow."""
