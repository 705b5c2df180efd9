"""Texts to themes with a trained model: one text, or any number of files."""
