"""Which trials there are and what became of them: Optuna studies, without Ray and torch."""
