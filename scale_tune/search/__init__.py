"""Runs a search on Ray. The only package that knows Ray.

Every start of the driver is a fresh Ray Tune run over the ledger. Ray starts and restarts workers and delivers
their results; which trials there are, how far they are and whether they go on is the ledger's business.
"""

import os

# Before ray is imported: no reports of usage, and no GPU visible to a trial that asked for none.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
# Progress and failures are shown from the ledger, not by Ray.
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
# How many trials there are at once is decided by what is issued; by itself, Ray would start them one by one.
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "1000")
# Ray's own experiment state is not used: the ledger is the truth.
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")
