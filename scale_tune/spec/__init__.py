"""What is asked for, as validated values: a search, one of its trials, the YAML they come from."""
