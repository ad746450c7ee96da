"""How a network is trained: one file and one registry line per method."""
