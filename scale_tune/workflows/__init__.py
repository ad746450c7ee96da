"""The steps of a command, in order: drive a search, analyse, refit, confirm, report."""
