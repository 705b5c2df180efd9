"""Batch classification of any number of texts: entries -> parts -> rows -> whole outputs.

`answers` turns entries into rows, `parts` cuts the work into parts that any process can do and that are committed once,
`outputs` writes what the parts hold as JSONL, CSV or Parquet, `tally` counts, `job` joins them.
"""
