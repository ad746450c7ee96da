"""Networks by name, as a backbone and linear heads."""
