"""The batched isotonic fit against SciPy's, row by row."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from dosefind.isotonic import pool


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_agrees_with_scipy(doses, seed):
    random = np.random.default_rng(seed)
    values, weights = random.random((5, doses)).round(2), random.uniform(0.1, 50, (5, doses))
    tried = random.random((5, doses)) < 0.7
    fitted = pool(values, weights, tried)
    for row in range(5):
        some = tried[row]
        assert np.isnan(fitted[row, ~some]).all()
        if some.any():
            # 1e-12: rounding of the means.
            np.testing.assert_allclose(
                fitted[row, some], isotonic_regression(values[row, some], weights=weights[row, some]).x, rtol=0, atol=1e-12
            )
