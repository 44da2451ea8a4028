"""Search spaces: plugins, space files, hyperparameters, plans and what they cost."""
