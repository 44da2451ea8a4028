"""What each choice was worth: pairs, a model of all trials, or twins trained for it."""
