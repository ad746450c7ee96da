"""What a worker does: the loop of one seed, the seeds of a trial in lockstep, what is kept of both."""
