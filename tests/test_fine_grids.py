"""Grids of more doses than trials usually have, such as the 41 of crmPack's examples."""

import numpy as np
import pytest

from dosefind import BOIN, InputError, ThreePlusThree, decide, lattice
from dosefind.operating.walk import WalkTooLarge
from dosefind.protocol import Doses


@pytest.mark.parametrize("n_doses", [31, 41, 98, 99])
def test_protocol_with_the_maximum_number_of_doses(n_doses):
    doses = Doses.read({"amounts": [25 * step for step in range(1, n_doses + 1)], "unit": "mg"})
    assert len(doses.amounts) == n_doses
    assert decide(ThreePlusThree(), f"{n_doses}NNN", n_doses=n_doses).reason


@pytest.mark.parametrize("n_doses", [100, 101, 500, 1000])
def test_a_protocol_must_not_have_more_than_99_doses(n_doses):
    with pytest.raises(InputError) as error:
        Doses.read({"amounts": list(range(1, n_doses + 1)), "unit": "mg"})
    assert [problem.where for problem in error.value.problems] == ["amounts"]
    assert "99" in str(error.value)


def test_operating_characteristics_of_41_doses_are_exact_or_refused_with_what_to_change():
    rates = np.linspace(0.02, 0.62, 41)
    oc = lattice(ThreePlusThree(max_n=24), n_doses=41).under([rates])
    assert oc.selected.sum() == pytest.approx(1, abs=1e-12)
    with pytest.raises(WalkTooLarge, match="simulate"):
        lattice(BOIN(target=0.25, max_n=60), n_doses=41, memory_limit=2**24)
