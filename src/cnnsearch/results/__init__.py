"""What is made of a study: its leaderboard, comparison, exports and report."""
