"""Example data sets: a month of data from a wind turbine, and synthetic problems."""

from skcocoafuse.datasets._synthetic import (
    make_bimodal,
    make_switch,
    make_switch_and_transition,
    make_transition,
)
from skcocoafuse.datasets._wind import load_wind_power

__all__ = [
    "load_wind_power",
    "make_bimodal",
    "make_switch",
    "make_switch_and_transition",
    "make_transition",
]
