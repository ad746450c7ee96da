"""Refitting the last layer of a trained network (deep feature reweighting)."""
