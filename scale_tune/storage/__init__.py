"""Where a run is kept: its directory, its database, its lock, and how it was made."""
