"""`python -m pipeline`: the same as the `taqyryp` command."""

from pipeline.commands.main import main

if __name__ == "__main__":  # a worker process imports this module, too
    main()
