"""Compare the methods of a finished run: ``python analyze.py --help``."""

from scale_tune.cli.entry import analyze

if __name__ == "__main__":
    analyze()
