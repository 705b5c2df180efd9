"""The command line: one file a group of commands. A command parses its options and calls; logic lives in the rooms."""
