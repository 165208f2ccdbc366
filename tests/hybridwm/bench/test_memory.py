import pytest
import torch

from hybridwm.bench import memory
from hybridwm.bench.contenders import Contender
from hybridwm.bench.memory import peak_megabytes
from hybridwm.bench.sizes import Size


def test_the_peak_is_seen_after_it_has_passed():
    before = memory._begin(Contender("cpu", 1))
    if before is None:
        pytest.skip("this system does not let a process set its high-water mark back")
    held = torch.ones(16_000_000)
    del held
    assert 60 < memory._peak(Contender("cpu", 1), before) < 80
    # An earlier peak is forgotten.
    assert memory._peak(Contender("cpu", 1), memory._begin(Contender("cpu", 1))) < 5


def test_memory_of_a_render_and_of_a_step_in_a_fresh_process():
    taken = peak_megabytes(Contender("cpu", 1), Size(20_000, 256, 256))
    if taken["render"] is None:
        pytest.skip("this system does not let a process set its high-water mark back")
    image = 256 * 256 * 5 * 4 / 1e6
    gradients = 141**2 * (3 + 4 + 3 + 1 + 3) * 4 / 1e6
    assert image < taken["render"] < 60
    assert taken["kept"] == pytest.approx(2 * image + gradients, abs=0.001)
    assert taken["kept"] < taken["step"] < 120
