"""Search hyperparameters on a Ray cluster: ``python tune.py --help``."""

from scale_tune.cli.tune import main

if __name__ == "__main__":
    main()
