"""The study's modules lie beside its tests; ``python tests/accuracy/study.py`` finds them the same way."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
