"""Compare the methods of a finished run: ``python analyze.py --help``."""

from scale_tune.cli import analyze_main

if __name__ == "__main__":
    analyze_main()
