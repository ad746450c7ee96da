"""Compare the methods of a finished run: ``python analyze.py --help``."""

from scale_tune.cli.analyze import main

if __name__ == "__main__":
    main()
