"""How results are shown: text, LaTeX, figures, and one HTML page per run."""
