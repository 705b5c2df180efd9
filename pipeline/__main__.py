"""`python -m pipeline`: the same as the `taqyryp` command."""

from pipeline.cli import main

main()
