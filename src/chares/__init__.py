"""chares: what it takes to train and serve a model, who may, and whether what was said is true."""

from __future__ import annotations

__version__ = "0.1.0"
