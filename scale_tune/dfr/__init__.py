"""Refitting the last layer of a trained network (deep feature reweighting)."""

FEATURES_OF = "erm"
"""The method whose networks are refitted."""
