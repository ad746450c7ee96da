"""The tables of a run, their schemas and the words for their columns."""
