"""The stereo network's worlds are exact, its batches functions of their generator, and its training resumes exactly."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hybridwm.cli import main
from hybridwm.training.depth.stereo_batches import as_filmed, draw
from hybridwm.training.depth.stereo_config import StereoPairsConfig, StereoTraining
from hybridwm.training.depth.stereo_train import loss, make_pairs, target, train, validate
from hybridwm.training.depth.stereo_worlds import layered_pairs, room_pairs
from recon.learned_stereo import learned_stereo
from recon.networks.stereo_config import StereoNetworkConfig
from recon.networks.stereo_network import StereoNetwork

TINY = StereoTraining(
    name="tiny",
    core=StereoNetworkConfig(channels=8, layers=2),
    pairs=StereoPairsConfig(layered=2, rooms=1, validation=1, search=16, height=32, width=64),
    steps=12,
    batch=2,
    crop_height=16,
    crop_width=48,
    rate=1e-2,
    warm_up=2,
    checkpoint_every=6,
    validate_every=6,
)


@pytest.fixture(scope="module")
def layered():
    return layered_pairs(range(9_000_000, 9_000_012), 64, 160, 40)


@pytest.fixture(scope="module")
def rooms():
    return room_pairs(range(9_000_000, 9_000_003), 64)


@pytest.mark.parametrize(("kind", "least"), [("layered", 0.6), ("rooms", 0.7)])
def test_the_right_eye_shows_the_same_where_the_disparity_says(request, kind, least):
    pairs = request.getfixturevalue(kind)
    columns = torch.arange(pairs.left.shape[3], dtype=torch.float32)
    errors, controls, known = [], [], []
    for left, right, disparity in zip(pairs.left, pairs.right, pairs.disparity, strict=True):
        for off, kept in ((0.0, errors), (3.0, controls)):
            place = (columns - disparity - off).clamp(0, len(columns) - 1.001)
            low = place.floor().long()
            share = place - low
            near, far = (right.float().gather(2, (low + i).expand(3, -1, -1)) for i in (0, 1))
            difference = ((1 - share) * near + share * far - left.float()).abs().mean(0)
            kept.append(difference[disparity > 0])
        known.append((disparity > 0).float().mean())
        assert (disparity <= columns + 2)[disparity > 0].all()
    assert torch.tensor(known).mean() > least
    assert torch.cat(errors).mean() < 6  # grey levels: what interpolation leaves at edges
    assert torch.cat(controls).mean() > 1.8 * torch.cat(errors).mean()


def test_worlds_are_functions_of_their_seed(layered):
    again = layered_pairs([9_000_003], 64, 160, 40)
    assert torch.equal(again.left[0], layered.left[3]) and torch.equal(again.disparity[0], layered.disparity[3])
    assert not torch.equal(again.left[0], layered.left[4])


def test_batches_are_functions_of_their_generator(layered):
    a, b, other = (draw(layered, 3, 24, 80, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert a.left.shape == (3, 3, 24, 80) and a.disparity.shape == (3, 24, 80)
    assert torch.equal(a.left, b.left) and torch.equal(a.right, b.right)
    assert not torch.equal(a.left, other.left)


def test_eyes_are_filmed_apart():
    image = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))
    pairs = [as_filmed(image, image, torch.Generator().manual_seed(seed)) for seed in range(20)]
    apart = [float((left - right).abs().mean()) for left, right in pairs]
    assert max(apart) > 0.03 and min(apart) < 0.02
    assert all(eye.min() >= 0 and eye.max() <= 1 for pair in pairs for eye in pair)


def test_what_is_taught_as_true_is_about_the_true_disparity():
    true = torch.tensor([0.3, 5.0, 9.5])
    bell = target(true, 16)
    assert torch.allclose(bell.sum(1), torch.ones(3))
    assert bell[1].argmax() == 5 and math.isclose(float(bell[2, 9]), float(bell[2, 10]), rel_tol=1e-5)
    assert (bell @ torch.arange(16.0) - true).abs().max() < 0.2


def test_loss_of_what_knows_nothing_is_that_of_chance(layered):
    network = StereoNetwork(StereoNetworkConfig(channels=8, layers=2))
    with torch.no_grad():
        network.log_sharpness.fill_(-8)
        batch = draw(layered, 2, 32, 120, torch.Generator().manual_seed(0))
        batch = replace(batch, disparity=batch.disparity * (torch.arange(120) >= 40))
        chance, shown = loss(network, batch, 40)
    assert abs(float(chance) - math.log(40)) < 0.01
    assert 0 <= shown["wrong"] <= 100


def test_training_resumes_exactly_and_lowers_its_loss(tmp_path):
    trained = train(replace(TINY, steps=80, validate_every=80, checkpoint_every=80), tmp_path / "a")
    card = json.loads(trained.with_suffix(".json").read_text())["card"]
    assert card["steps"] == 80 and card["training_seeds"] == {"layered": [0, 1], "rooms": [0, 0]}
    torch.manual_seed(TINY.seed)
    untrained = validate(StereoNetwork(TINY.core), make_pairs(TINY.pairs)[1], TINY.pairs.search)
    for kind in ("layered", "rooms"):
        assert card["validation"][-1][f"{kind}_loss"] < 0.95 * untrained[f"{kind}_loss"]

    whole = train(TINY, tmp_path / "b")
    weights = whole.read_bytes()
    newest = sorted((tmp_path / "b" / "checkpoints").iterdir())[-1]
    newest.unlink()  # as if it had been killed after half of the steps
    assert train(TINY, tmp_path / "b").read_bytes() == weights
    other = train(replace(TINY, seed=1), tmp_path / "c")
    assert other.read_bytes() != weights


def test_train_depth_leaves_weights_that_depth_is_measured_with(tmp_path, capfd, plane_pair):
    file, out = tmp_path / "tiny.yaml", tmp_path / "run"
    file.write_text(
        "network: stereo\nname: tiny\ncore: {channels: 8, layers: 2}\nbatch: 1\n"
        "pairs: {layered: 1, rooms: 1, validation: 1, search: 16, height: 32, width: 64}\n"
    )
    assert main(["train-depth", str(file), "--steps", "2", "--out", str(out)]) == 0
    assert json.loads((out / "summary.json").read_text())["weights"] == "tiny.safetensors"
    depth, confidence = learned_stereo(out)([plane_pair])
    assert depth.shape == confidence.shape == (48, 64)
    assert main(["train-depth", str(file), "--steps", "2", "--seed", "3", "--out", str(out)]) == 2
    assert "expected the run that it holds, got another seed" in capfd.readouterr().err
    file.write_text("network: lidar\n")
    assert main(["train-depth", str(file)]) == 2
    assert "the key `network` to be one of" in capfd.readouterr().err


@pytest.fixture
def plane_pair():
    """A fronto-parallel plane of noise as both eyes see it, 5 pixels apart."""
    from recon.view import View
    from render.camera import Camera

    image = torch.from_numpy(np.random.default_rng(0).random((48, 69, 3), dtype=np.float32))
    K = torch.tensor([[40.0, 0, 32], [0, 40, 24], [0, 0, 1]])
    return View(image[:, :64], Camera(K, torch.eye(4), 64, 48), right=image[:, 5:], baseline=0.3)
