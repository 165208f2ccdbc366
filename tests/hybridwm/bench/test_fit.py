import torch

from hybridwm.bench.fit import fit_room
from render import rasterize


def test_a_small_fit_finds_back_and_leaves_torch_s_threads_as_they_were():
    threads = torch.get_num_threads()
    fit = fit_room(rasterize, count=400, truth=900, size=24, steps=24)
    assert torch.get_num_threads() == threads
    assert fit.end > fit.start + 1
    assert fit.end_held_out > fit.start_held_out + 0.5
    assert fit.steps == 24
    assert fit.seconds > 0
    again = fit_room(rasterize, count=400, truth=900, size=24, steps=0)
    assert (again.end, again.end_held_out) == (again.start, again.start_held_out)
    assert again.start == fit.start
