"""``python -m stepscore.cli``."""

import sys

from stepscore.cli.main import main

sys.exit(main())
