"""Pilot chains: two short chains that show how long the trajectories of long chains will be."""

import dataclasses
from typing import Any

import numpy as np

from skcocoafuse.inference.engine import Settings
from skcocoafuse.inference.modes import Mode
from skcocoafuse.inference.nuts.backend import Launch, Run, run_chains

# Short, since only the length of their trajectories matters. Not compared with other values.
_PILOT: dict[str, Any] = {"draws": 20, "tune": 80, "target_accept": 0.8, "options": {"maxdepth": 6}}


def run_pilots(mode: Mode, settings: Settings, rng: np.random.Generator) -> list[Run]:
    """Two short chains at a mode."""
    short = dataclasses.replace(settings, progress_bar=False, **_PILOT)
    return run_chains([Launch(mode.kernel, mode.normal, 2)], short, rng)
