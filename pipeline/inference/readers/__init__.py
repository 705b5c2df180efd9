"""Inputs of batch classification: files, folders, patterns and stdin to records. Everything streams."""
