"""`python -m loadtests.cluster`."""

from __future__ import annotations

import sys

from loadtests.cluster.command import main

sys.exit(main())
