"""Search hyperparameters on a Ray cluster: ``python tune.py --help``."""

from scale_tune.cli.tune import tune_app

if __name__ == "__main__":
    tune_app()
