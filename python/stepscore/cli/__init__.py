"""The command line: flags only, one file per command."""
