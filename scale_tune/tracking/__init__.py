"""Shows a run in trackers: brings each up to the records of the trials, which stay the only truth."""
