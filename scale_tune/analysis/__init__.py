"""Which config won, by how much, and what would mislead: on tables alone, without torch and Ray."""
