"""`python -m loadtests.chaos`."""

from __future__ import annotations

import sys

from loadtests.chaos.command import main

sys.exit(main())
