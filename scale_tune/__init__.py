"""scale-tune: hyperparameter search for training that is robust to spurious features."""
