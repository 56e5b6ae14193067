"""Accuracy, calibration and time beside other packages; see benchmarks/README.md."""
