"""Search hyperparameters on a Ray cluster: ``python tune.py --help``."""

from scale_tune.cli.entry import tune

if __name__ == "__main__":
    tune()
