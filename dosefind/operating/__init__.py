"""Operating characteristics: the exact walk, simulation, metrics, and the reference benchmark."""
