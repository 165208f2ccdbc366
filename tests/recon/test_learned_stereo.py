"""Stereo with learned costs: held-out rooms and real pairs beside OpenCV's matcher; what is untrained fails."""

from dataclasses import replace
from statistics import mean

import numpy as np
import pytest
import torch

from hybridwm.bench.recon_stereo import figures, opencv_sgbm
from hybridwm.bench.recon_stereo_pairs import read_true_pair, room_pair
from recon import depth_source
from recon.learned_stereo import PACKAGED, learned_costs, learned_stereo, network_costs, read_network
from recon.networks.stereo_network import StereoNetwork
from recon.networks.weights_file import read_weights, write_weights
from recon.stereo import LEAST_CONFIDENCE, match, stereo_depth
from render import FormatError

WEIGHTS = PACKAGED / "stereo-rooms.safetensors"


@pytest.fixture(scope="module")
def learned():
    return learned_costs("stereo-rooms")


@pytest.fixture(scope="module")
def rooms():
    return [room_pair(10_000_000 + i, 64, 64) for i in range(12)]


def bad1(pairs, matcher):
    """Mean share of visible pixels, in %, that are off by more than one."""
    found = [figures(pair, *matcher(pair.left, pair.right)) for pair in pairs]
    return mean(each["bad1_visible"] for each in found)


def by(costs):
    def matcher(left, right):
        disparity, confidence = match(left, right, left.shape[1] // 2, costs)
        return disparity, confidence >= LEAST_CONFIDENCE

    return matcher


def sgbm(left, right):
    return opencv_sgbm(left, right, left.shape[1] // 2)


def test_rooms_that_it_never_saw(rooms, learned):
    assert bad1(rooms, by(learned)) < 0.8 * bad1(rooms, sgbm)


def test_larger_rooms_that_it_never_saw(learned):
    pairs = [room_pair(10_000_000 + i, 320, 240) for i in range(2)]
    assert bad1(pairs, by(learned)) < bad1(pairs, sgbm)


@pytest.mark.parametrize("control", ["untrained", "shuffled"])
def test_weights_that_were_not_learned_are_far_worse(rooms, learned, control):
    trained = read_network(WEIGHTS)
    network = StereoNetwork(trained.config)
    if control == "shuffled":
        generator = torch.Generator().manual_seed(0)
        for name, tensor in trained.state_dict().items():
            order = torch.randperm(tensor.numel(), generator=generator)
            network.state_dict()[name].copy_(tensor.reshape(-1)[order].reshape(tensor.shape))
    some = rooms[:6]
    assert bad1(some, by(network_costs(network))) > 2 * bad1(some, by(learned))


@pytest.mark.parametrize(
    ("name", "bad2"),
    # 1.3 times those of OpenCV's matcher, as measured for the data set
    [("tsukuba", 3.73), ("cones", 5.51), ("motorcycle_q", 6.64)],
)
def test_real_pairs_that_it_never_saw(shared_data, learned, name, bad2):
    pair = read_true_pair(shared_data(f"stereo_gt/{name}"))
    disparity, confidence = match(pair.left, pair.right, pair.search, learned)
    assert figures(pair, disparity, confidence >= LEAST_CONFIDENCE)["bad2_visible"] <= bad2


def test_a_street_that_it_never_saw(shared_data, learned):
    pair = read_true_pair(shared_data("stereo_gt/kitti2015_000046"))
    disparity, confidence = match(pair.left, pair.right, None, learned)
    assert figures(pair, disparity, confidence >= LEAST_CONFIDENCE)["D1"] <= 4.37


@pytest.mark.parametrize("plane", [((0.0, 0.0, 1.0), 2.0), ((0.4, 0.1, 1.0), 2.4), ((-0.3, 0.5, 1.0), 3.0)])
def test_slanted_planes(plane_view, plane):
    view = plane_view([plane])
    depth, confidence = depth_source("learned_stereo")([view])
    true = 40 * 0.3 / view.depth
    visible = torch.arange(view.width) + 0.5 - true > 0
    measured = (depth > 0) & visible
    error = (40 * 0.3 / depth - true).abs()[measured]
    assert measured.sum() > 0.85 * visible.sum()
    assert error.median() <= 0.15 and error.quantile(0.9) <= 0.5
    assert ((depth == 0) == (confidence == 0)).all()


def test_it_says_the_same_again_and_never_reads_true_depth(plane_view):
    view, source = plane_view(), depth_source("learned_stereo")
    first = source([view])
    for other in (view, replace(view, depth=torch.full_like(view.depth, torch.nan)), replace(view, depth=None)):
        assert all(torch.equal(a, b) for a, b in zip(first, source([other]), strict=True))
    assert not torch.equal(first[0], stereo_depth([view])[0])  # it is another matcher


@pytest.mark.parametrize("case", ["no texture", "identical", "zero baseline", "swapped", "noise"])
def test_degenerate_pairs_measure_nothing(plane_view, case):
    view = plane_view()
    generator = torch.Generator().manual_seed(1)
    plain = torch.full_like(view.image, 0.5)
    noise = [torch.rand(view.image.shape, generator=generator) for _ in range(2)]
    view = {
        "no texture": replace(view, image=plain, right=plain),
        "identical": replace(view, right=view.image),
        "zero baseline": replace(view, right=view.image, baseline=0.0),
        "swapped": replace(view, image=view.right, right=view.image),
        "noise": replace(view, image=noise[0], right=noise[1]),
    }[case]
    depth, confidence = depth_source("learned_stereo")([view])
    assert torch.isfinite(depth).all() and (depth >= 0).all()
    assert (confidence > 0.3).float().mean() < (0.15 if case in ("noise", "swapped") else 1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 16), (64, 2)])
def test_tiny_images_do_not_fail(plane_view, size):
    depth, confidence = depth_source("learned_stereo")([plane_view(width=size[0], height=size[1], focal=20.0)])
    assert depth.shape == confidence.shape == (size[1], size[0])
    assert torch.isfinite(depth).all()


def test_the_shipped_weights_are_small_and_say_how_they_were_made():
    assert WEIGHTS.stat().st_size <= 2_000_000
    content = read_weights(WEIGHTS).content
    assert content["network"] == "stereo"
    card = content["card"]
    assert {"steps", "seconds_training", "machine", "validation", "training_seeds"} <= set(card)
    assert max(seed for seeds in card["training_seeds"].values() for seed in seeds) < 9_000_000


def test_a_folder_of_one_s_own_weights(plane_view, tmp_path):
    network = read_network(WEIGHTS)
    content = read_weights(WEIGHTS).content
    write_weights(tmp_path, "mine", network.state_dict(), content)
    view = plane_view()
    own, packaged = learned_stereo(tmp_path)([view]), depth_source("learned_stereo")([view])
    assert torch.equal(own[0], packaged[0])
    assert torch.equal(depth_source(f"learned_stereo({tmp_path})")([view])[0], own[0])


def test_bad_weights_are_refused_by_what_is_wrong(tmp_path, plane_view):
    network, content = read_network(WEIGHTS), read_weights(WEIGHTS).content
    with pytest.raises(FileNotFoundError, match="found nothing there"):
        depth_source(f"learned_stereo({tmp_path / 'absent'})")
    with pytest.raises(FileNotFoundError, match="expected one .safetensors file"):
        learned_stereo(tmp_path)
    write_weights(tmp_path / "a", "w", network.state_dict(), {**content, "network": "monocular"})
    with pytest.raises(FormatError, match="train-depth"):
        learned_stereo(tmp_path / "a")
    write_weights(tmp_path / "b", "w", network.state_dict(), {**content, "config": {"channels": 8, "layers": 5}})
    with pytest.raises(FormatError, match="another configuration"):
        learned_stereo(tmp_path / "b")
    write_weights(tmp_path / "c", "w", network.state_dict(), {**content, "config": {"depth": 5}})
    with pytest.raises(FormatError, match="StereoNetworkConfig"):
        learned_stereo(tmp_path / "c")
    path = write_weights(tmp_path / "d", "w", network.state_dict(), content)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FormatError, match="whole safetensors"):
        learned_stereo(tmp_path / "d")
    with pytest.raises(ValueError, match="'learned_stereo' needs View.right"):
        depth_source("learned_stereo")([replace(plane_view(), right=None)])


def test_a_world_model_needs_two_eyes_for_it():
    import hybridwm as hw

    world = hw.load(depth="learned_stereo")
    assert world.depth == "learned_stereo"
    one_eye = replace(world.core.config, eyes=1)
    with pytest.raises(ValueError, match="depth='learned_stereo' needs a binocular core"):
        hw.WorldModel(type(world.core)(one_eye), world.memory, depth="learned_stereo")


def test_bands_agree_with_the_whole(learned, monkeypatch):
    pair = room_pair(10_000_003, 200, 200)
    whole, _ = match(pair.left, pair.right, 32, learned)
    monkeypatch.setattr("recon.stereo.LARGEST_VOLUME", 200 * 32 * 130)
    banded, _ = match(pair.left, pair.right, 32, learned)
    assert (np.abs(banded - whole) > 1).mean() < 0.02
