"""Operating characteristics: exact enumeration, simulation, metrics, and the non-parametric optimal benchmark."""
