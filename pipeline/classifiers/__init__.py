"""The models: each learns from rows and gives a probability per theme, and lives in a folder that is checked."""
