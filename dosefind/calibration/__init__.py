"""Simulation-based calibration: comparison of each posterior with that of its model."""
