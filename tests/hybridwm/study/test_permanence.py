"""What is there is found and what is not is not, on true frames, clean and spoilt; and the controls that must fail."""

import math

import pytest
import torch
import torch.nn.functional as F

from hybridwm.study.permanence import is_there, precision_recall, share_found
from hybridwm.worlds.rooms.scenario_episodes import scenario_episode

CASES = 2  # of each scenario


@pytest.fixture(scope="module")
def cases():
    """(frames with, frames without) after the ball was hidden, or the mark looked away from."""
    out = []
    for k in range(2 * CASES):
        name = ("occlusion", "mark")[k % 2]
        (a, labels), (b, _) = (scenario_episode(name, 1200 + k, 32, 60, outcome=o) for o in (1, 0))
        hidden = (labels.moving.flatten(1).sum(1) == 0).nonzero()[:, 0]
        back = labels.facts["back_from"] if name == "mark" else int(hidden[-1]) + 1
        out.append((a.rgb[back:].float() / 255, b.rgb[back:].float() / 255))
    return out


def spoil(how):
    g = torch.Generator().manual_seed(0)
    return {
        "clean": lambda x: x,
        "noise": lambda x: (x + 0.06 * torch.randn(x.shape, generator=g)).clamp(0, 1),
        "blur": lambda x: F.avg_pool2d(x.movedim(-1, 1), 3, 1, 1, count_include_pad=False).movedim(1, -1),
        "a pixel off": lambda x: x.roll((1, 1), (1, 2)),
    }[how]


@pytest.mark.parametrize("how", ["clean", "noise", "blur", "a pixel off"])
def test_true_frames_are_judged_right(cases, how):
    change = spoil(how)
    answers = [(is_there(change(frames), *pair), truth) for pair in cases for frames, truth in
               ((pair[0], True), (pair[1], False))]  # fmt: skip
    precision, recall = precision_recall([bool(a) for a, _ in answers], [t for _, t in answers])
    assert all(a is not None for a, _ in answers)
    assert precision >= 0.95 and recall >= 0.95, answers
    assert sum(bool(a) for a, truth in answers if not truth) <= 0.1 * len(cases)


def test_forgetting_and_dreaming_up_are_both_found_out(cases):
    """A model without memory shows the room without the thing; one that always paints it is wrong half the time."""
    forgetful = [bool(is_there(without, with_it, without)) for with_it, without in cases]
    assert precision_recall(forgetful, [True] * len(cases))[1] == 0
    dreaming = [bool(is_there(with_it, with_it, without)) for with_it, without in cases]
    precision, recall = precision_recall(dreaming * 2, [True] * len(cases) + [False] * len(cases))
    assert recall == 1 and precision == 0.5


def test_a_thing_in_another_place_is_not_there(cases):
    with_it, without = cases[0]
    assert is_there(with_it.roll(9, 2), with_it, without) is False
    half = (with_it + without) / 2  # an average of both is not quite it, and its share says so
    t = len(half) // 2
    assert share_found(half[t], with_it[t], without[t]) < share_found(with_it[t], with_it[t], without[t]) == 1


def test_what_cannot_be_told_is_said_so():
    same = torch.rand(3, 8, 8, 3)
    assert is_there(same, same, same) is None and math.isnan(share_found(same[0], same[0], same[0]))
    assert all(math.isnan(x) for x in precision_recall([False], [False]))
    with pytest.raises(ValueError, match="expected one answer for each case"):
        precision_recall([True], [])
