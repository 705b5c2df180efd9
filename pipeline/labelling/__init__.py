"""Paragraphs to training rows: themes, annotations, exemplars, rules and folds."""
