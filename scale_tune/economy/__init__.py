"""Whether a search was enough, and what a smaller one would have found: on tables alone."""
