"""How fast Whimbrel is against plain git scripts, all-repos and the bare Claude Code binary: `make bench`."""
