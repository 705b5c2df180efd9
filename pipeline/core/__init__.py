"""What every room stands on: errors, records, files, settings, folders that are checked."""
