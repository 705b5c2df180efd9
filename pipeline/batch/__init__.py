"""Batch classification of any number of texts: entries -> parts -> rows -> whole outputs.

`answers` turns entries into rows, `parts` cuts the work into parts that any process can do and that are committed once,
`outputs` knows CSV and Parquet, `assembly` makes whole outputs of parts, `tally` counts, `job` joins them.
"""
