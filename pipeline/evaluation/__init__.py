"""Scores against gold: figures, intervals, thresholds, comparison."""
