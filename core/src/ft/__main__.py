"""``python -m ft``: the same as ``ft``."""

import sys

from ft.cli import main

sys.exit(main())
