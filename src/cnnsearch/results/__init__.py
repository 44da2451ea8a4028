"""The results of a study: leaderboard, comparison, exports, report and predictions."""
