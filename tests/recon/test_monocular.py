"""Depth from one image: the network from a local folder, and metres from what is known."""

import json
from dataclasses import replace

import pytest
import torch

from recon import DepthContext, View, depth_source
from recon.depth_scale import fit_depth_scale
from recon.monocular import to_metres
from render import Camera


def scene(seed=0):
    """Depth of a slanted floor with a box in front, and a prediction of it as relative networks make them."""
    generator = torch.Generator().manual_seed(seed)
    v, u = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    depth = 2 + 0.05 * v + 0.01 * u
    depth[10:30, 20:40] = 1.2
    prediction = 7 / depth + 3 + 0.02 * torch.randn(depth.shape, generator=generator)
    return depth, prediction


def test_scale_and_shift_are_found_again():
    depth, prediction = scene()
    known = torch.where(torch.rand(depth.shape) < 0.2, depth, torch.zeros_like(depth))
    fit, reason = fit_depth_scale(prediction, known, "inverse")
    assert fit is not None, reason
    assert fit.scale == pytest.approx(1 / 7, rel=0.02) and fit.shift == pytest.approx(-3 / 7, abs=0.01)
    assert ((fit.apply(prediction) - depth).abs() / depth).median() < 0.01
    assert fit.error < 0.02


@pytest.mark.parametrize("outliers", [0.1, 0.3])
def test_wrong_known_depth_is_outvoted(outliers):
    depth, prediction = scene()
    wrong = torch.rand(depth.shape, generator=torch.Generator().manual_seed(1)) < outliers
    known = torch.where(wrong, 0.4 * depth, depth)
    fit, _ = fit_depth_scale(prediction, known, "inverse")
    plain = torch.linalg.lstsq(
        torch.stack([prediction.flatten(), torch.ones(prediction.numel())], dim=1), 1 / known.flatten()[:, None]
    ).solution.flatten()
    error = ((fit.apply(prediction) - depth).abs() / depth).median()
    least_squares = ((1 / (plain[0] * prediction + plain[1]) - depth).abs() / depth).median()
    assert error < 0.03 < least_squares


def test_metric_predictions_are_only_scaled():
    depth, _ = scene()
    fit, _ = fit_depth_scale(0.5 * depth, depth, "metric")
    assert fit.scale == pytest.approx(2) and fit.shift == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d, p: (torch.zeros_like(d), p), "0 pixels"),
        (lambda d, p: (d, torch.ones_like(p)), "flat"),
        (lambda d, p: (d, -p), "runs against"),
        (lambda d, p: (d[:, torch.randperm(64)][torch.randperm(48)], p), "off by|runs against"),
    ],
)
def test_what_cannot_be_fitted_says_why(change, reason):
    torch.manual_seed(0)
    known, prediction = change(*scene())
    fit, why = fit_depth_scale(prediction, known, "inverse")
    assert fit is None
    import re

    assert re.search(reason, why)


def view_of(depth):
    return View(torch.rand(*depth.shape, 3), Camera.from_fov(depth.shape[1], depth.shape[0], 70.0))


def test_metres_come_from_the_recalled_scene():
    depth, prediction = scene()
    recalled = torch.where(torch.arange(64) < 32, depth, torch.zeros_like(depth))
    found, confidence = to_metres(prediction, "inverse", [view_of(depth)], DepthContext(recalled_depth=recalled))
    assert ((found - depth).abs() / depth).median() < 0.02 and confidence.min() > 0.9


def test_without_anything_known_relative_depth_is_none_and_metric_depth_is_doubted():
    depth, prediction = scene()
    nothing, confidence = to_metres(prediction, "inverse", [view_of(depth)], None)
    assert not nothing.any() and not confidence.any()
    found, confidence = to_metres(depth, "metric", [view_of(depth)], None)
    assert torch.equal(found, depth) and (confidence == 0.5).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model with random weights, saved as any other."""
    transformers = pytest.importorskip("transformers")
    backbone = transformers.Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        head_hidden_size=4,
        patch_size=14,
    )
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model")
    transformers.DepthAnythingForDepthEstimation(config).save_pretrained(path)
    return path


def test_a_model_from_a_local_folder_gives_depth_in_metres(folder):
    depth, _ = scene()
    view = view_of(depth)
    source = depth_source(f"monocular({folder})")
    from recon import monocular as module

    prediction = module._predictor(folder.resolve())(view.image)
    assert prediction.shape == depth.shape and prediction.std() > 0
    # What is known agrees with this (random) network up to scale and shift, so that is what must come out.
    inverse = 0.4 + 0.1 * (prediction - prediction.min()) / (prediction.max() - prediction.min())
    known = torch.where(torch.rand(depth.shape) < 0.3, 1 / inverse, torch.zeros_like(inverse))
    found, confidence = source([view], DepthContext(recalled_depth=known))
    assert torch.allclose(found, 1 / inverse, rtol=1e-3) and confidence.min() > 0.99
    nothing, _ = source([view], None)
    assert not nothing.any()


def test_any_size_of_image_is_taken(folder):
    for height, width in ((30, 90), (64, 64), (200, 50)):
        found, _ = depth_source(f"monocular({folder})")([view_of(torch.ones(height, width))], None)
        assert found.shape == (height, width)


def test_folders_that_are_no_depth_models_are_refused(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        depth_source(f"monocular({tmp_path / 'none'})")
    with pytest.raises(FileNotFoundError, match="config.json"):
        depth_source(f"monocular({tmp_path})")
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(ValueError, match="expected JSON"):
        depth_source(f"monocular({tmp_path})")
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    with pytest.raises(ValueError, match="BertModel"):
        depth_source(f"monocular({tmp_path})")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle that must not be opened")
    with pytest.raises(OSError):
        depth_source(f"monocular({tmp_path})")([view_of(torch.ones(28, 28))], None)


def test_nan_images_are_refused(folder):
    view = view_of(torch.ones(28, 28))
    with pytest.raises(ValueError, match="finite"):
        depth_source(f"monocular({folder})")([replace(view, image=view.image * torch.nan)], None)
