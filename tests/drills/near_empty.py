"""``tune.py`` with a trainable that trains nothing, so that only the search itself takes time."""

import random
from typing import Any

from scale_tune.cli.entry import run


def near_empty() -> None:
    from ray import tune

    import scale_tune.search.run
    from scale_tune.cli.tune import tune_app
    from scale_tune.search.messages import Progressed, Report, encode

    class NearEmpty(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            drawn = random.Random(new_config["trial"])
            self.curve = sorted(drawn.random() for _ in range(3))
            self.epoch = 0
            return True

        def step(self) -> dict[str, Any]:
            self.epoch += 1
            told = Progressed(objectives=self.curve[: self.epoch], finished=self.epoch == len(self.curve))
            return encode(Report(outcome=told, notes=[]))

    scale_tune.search.run.TuneTrial = NearEmpty
    tune_app()


run(near_empty)
