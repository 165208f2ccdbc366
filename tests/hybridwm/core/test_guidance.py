"""History guidance: exact at its ends, exact in what it costs, and over whole frames."""

import pytest
import torch
from small_core import core, remembered

from hybridwm.core.conditioning import Recalled
from hybridwm.core.guidance import History, HistoryGuidance
from hybridwm.core.video_core import Context, VideoCore

FRACTIONAL = HistoryGuidance.fractional(2.0, 0.5)


def imagined(made: VideoCore, context: Context, guidance: HistoryGuidance | None, **options) -> torch.Tensor:
    return made.imagine(context, Recalled(), context.camera, torch.zeros(4), guidance=guidance, **options)


def test_weight_one_is_conditional_and_zero_unconditional_bitwise():
    made = core()
    context = remembered(made)
    nothing = made.begin(context.camera, 0, baseline=0.3)
    nothing = Context((), context.camera, context.steps, 0, nothing.baseline)
    assert torch.equal(imagined(made, context, HistoryGuidance.vanilla(1.0)), imagined(made, context, None))
    assert torch.equal(imagined(made, context, HistoryGuidance.vanilla(0.0)), imagined(made, nothing, None))
    assert not torch.equal(imagined(made, context, None), imagined(made, nothing, None))


@pytest.mark.parametrize(
    ("guidance", "calls"),
    [
        (HistoryGuidance(), 1),
        (HistoryGuidance.vanilla(1.0), 1),
        (HistoryGuidance.vanilla(0.0), 1),
        (HistoryGuidance.vanilla(1.5), 2),
        (HistoryGuidance.temporal(1.0, (1, 3)), 2),
        (HistoryGuidance.temporal(1.5, (1, 3)), 3),
        (HistoryGuidance.temporal(1.0, (1, 2, 3, 1, 2, 3)), 6),  # six sixths are a little less than 1
        (FRACTIONAL, 3),
        (HistoryGuidance.fractional(1.0, 0.5), 1),
    ],
)
@pytest.mark.parametrize("steps", [1, 2])
def test_network_calls_are_counted_exactly(guidance, calls, steps, monkeypatch):
    made = core()
    context = remembered(made, guidance)
    count = []
    forward = made.network.forward
    monkeypatch.setattr(made.network, "forward", lambda *a, **k: count.append(1) or forward(*a, **k))
    imagined(made, context, guidance, solver_steps=steps)
    assert guidance.calls == calls and len(count) == calls * steps


def test_a_guided_frame_is_the_weighted_sum():
    made = core()
    context = remembered(made, FRACTIONAL)
    conditional, none = (imagined(made, context, HistoryGuidance.vanilla(w)) for w in (1.0, 0.0))
    assert torch.allclose(
        imagined(made, context, HistoryGuidance.vanilla(1.5)), 1.5 * conditional - 0.5 * none, atol=1e-5
    )
    coarse = imagined(made, context, HistoryGuidance((History(1.0, noise=0.5),)))
    assert not torch.equal(coarse, conditional)
    assert torch.allclose(imagined(made, context, FRACTIONAL), conditional + coarse - none, atol=1e-5)


def test_guidance_drops_whole_frames_not_channels():
    """Without history nothing of the past is left: other past frames, the same unconditional prediction."""
    made = core()
    a, b = (imagined(made, remembered(made, scale=s), HistoryGuidance.vanilla(0.0)) for s in (1.0, -0.5))
    assert torch.equal(a, b)
    a, b = (imagined(made, remembered(made, scale=s), HistoryGuidance.vanilla(1.0)) for s in (1.0, -0.5))
    assert not torch.equal(a, b)


def test_a_noisier_history_has_pages_of_its_own_and_the_first_are_unchanged():
    made = core()
    plain, guided = remembered(made), remembered(made, FRACTIONAL)
    assert all(torch.equal(a.keys, b.keys) for a, b in zip(plain.pages, guided.pages, strict=True))
    ((noise, pages),) = guided.noisier
    assert noise == 0.5 and len(pages) == len(guided.pages) and pages[0].t == 0.5


def test_impossible_histories_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        HistoryGuidance((History(1.0, frames=0),))
    with pytest.raises(ValueError, match=r"flow time in \[0, 1\); got 1"):
        HistoryGuidance.fractional(1.5, 1.0)
    with pytest.raises(ValueError, match="at least one length"):
        HistoryGuidance.temporal(1.5, ())


def test_a_history_that_was_not_remembered_is_refused():
    made = core()
    with pytest.raises(ValueError, match="remembered at noise 0.5; got its own only. Pass the same guidance"):
        imagined(made, remembered(made), FRACTIONAL)
