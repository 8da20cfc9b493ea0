"""Simulation-based calibration: is each posterior that of its model?"""
