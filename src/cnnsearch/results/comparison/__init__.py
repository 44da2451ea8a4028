"""The effect of each hyperparameter: from matched pairs, a model of all trials, or controlled trials."""
