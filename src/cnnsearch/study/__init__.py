"""An Optuna study and what is stored with it."""
