"""Simulated data sets as work in blocks: `dosefind.blocks` distributes and stores it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from ..blocks import Job
from ..posterior.mcmc import NutsSettings
from ..provenance import sampler_versions
from .engines import Engine, Layout, Model

__all__ = ["CHUNK", "DataSets"]

# Number of data sets per block.
CHUNK = 25


@dataclass(frozen=True)
class DataSets(Job):
    """Data sets of one model, engine and layout."""

    block_size: ClassVar[int] = CHUNK

    kind: type[Engine]
    model: Model
    engine_settings: NutsSettings | None
    label: str
    layout: Layout
    seed: int

    def block(self, first: int, count: int) -> np.ndarray:
        """Return results of `Engine.one`, ``(count, 2, quantities)``."""
        # Frozen settings are hashable, which pyright does not see.
        engine = _engine(self.kind, self.model, self.engine_settings)  # type: ignore[arg-type]
        return np.array([engine.one(self.layout, self.label, self.seed, first + at) for at in range(count)])

    def settings(self) -> tuple[Any, ...]:
        return self.kind, self.model, self.engine_settings, self.label, self.layout, self.seed, sampler_versions()

    def valid(self, result: np.ndarray, count: int) -> bool:
        """Return whether an array can hold finite PIT values from 0 to 1 and their errors."""
        if result.ndim != 3 or result.shape[:2] != (count, 2):
            return False
        pit, error = result[:, 0], result[:, 1]
        return bool(np.isfinite(result).all() and (pit >= 0).all() and (pit <= 1).all() and (error >= 0).all())


@lru_cache(maxsize=4)
def _engine(kind: type[Engine], model: Model, settings: NutsSettings | None) -> Engine:
    return kind(model, settings)
