"""Batch classification of any number of texts: records to shards to rows to whole outputs."""
