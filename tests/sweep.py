"""How much runs: `make sweep` takes all of a large set, `make test` a fixed part of it."""

import os

SWEEP = os.environ.get("STEPSCORE_HYPOTHESIS") == "explore"
