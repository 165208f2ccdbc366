"""Training of the monocular network: its images are a function of their seeds, runs resume exactly, errors fall."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch

from hybridwm.cli.train_depth import read_training
from hybridwm.training.depth.monocular_config import MonocularTraining, SightsConfig
from hybridwm.training.depth.monocular_sights import load_or_make, make_sights, mirrored, recoloured
from hybridwm.training.depth.monocular_train import batch_of, depth_loss, prepared, train, widening_for
from recon import View, depth_source
from recon.networks.monocular_config import MonocularConfig
from recon.networks.monocular_unet import DepthDistribution, pixel_places
from recon.networks.monocular_weights import RIGHT, load_monocular
from render import Camera, FormatError

TINY = MonocularTraining(
    name="tiny",
    core=MonocularConfig(side=16, width=8, blocks=1),
    sights=SightsConfig(rooms=5, validation=1, images=2, batch=3),
    steps=30,
    batch=4,
    warm_up=3,
    rate=5e-3,
    checkpoint_every=10,
    validate_every=30,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run that nothing disturbed."""
    return train(TINY, tmp_path_factory.mktemp("straight"))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_stopped_run_ends_as_an_unstopped_one(straight, tmp_path, monkeypatch):
    from hybridwm.training.depth import monocular_train as module

    def stops(sights, config, step, device):
        if step == 17:
            raise KeyboardInterrupt
        return batch_of(sights, config, step, device)

    monkeypatch.setattr(module, "batch_of", stops)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, tmp_path)
    monkeypatch.setattr(module, "batch_of", batch_of)
    assert digest(train(TINY, tmp_path)) == digest(straight)
    assert digest(train(replace(TINY, seed=1), tmp_path / "other")) != digest(straight)


def test_the_error_falls_and_the_card_tells_how(straight):
    content = json.loads(straight.with_suffix(".json").read_text())
    card = content["card"]
    assert content["network"] == "monocular" and content["core"] == {"side": 16, "width": 8, "blocks": 1}
    assert card["training_seeds"] == [0, 4] and card["validation_seeds"] == [5, 5] and card["steps"] == 30
    lines = [json.loads(line) for line in (straight.parent / "metrics.jsonl").read_text().splitlines()]
    errors = [line["error"] for line in lines if "error" in line]
    assert errors[-1] < errors[0]
    assert {"abs_rel", "abs_rel_constant", "right", "confidence"} <= set(card["validation_at_the_end"])


def test_a_run_can_begin_with_the_weights_of_another(straight, tmp_path):
    """One step at hardly any rate leaves them as they were, but for rounding; the card tells where they are from."""
    further = replace(TINY, initial=str(straight), steps=1, rate=1e-9, warm_up=1)
    path = train(further, tmp_path)
    before, after = (load_monocular(one).state_dict() for one in (straight, path))
    assert all(torch.allclose(before[k], after[k], atol=1e-4) for k in before if k != "widening")
    assert json.loads(path.with_suffix(".json").read_text())["card"]["initial"]["steps"] == TINY.steps
    random = load_monocular(train(replace(further, initial=""), tmp_path / "random")).state_dict()
    assert not torch.allclose(random["stem.weight"], before["stem.weight"], atol=1e-2)
    with pytest.raises(ValueError, match="of the same sizes"):
        train(replace(further, core=MonocularConfig(side=16, width=16, blocks=1)), tmp_path / "other")


def test_a_folder_that_training_wrote_is_a_depth_source(straight):
    view = View(torch.rand(24, 32, 3), Camera.from_fov(32, 24, 70.0))
    depth, confidence = depth_source(f"monocular({straight.parent})")([view])
    assert depth.shape == (24, 32) and bool((depth > 0).all()) and bool(((confidence > 0) & (confidence < 1)).all())


def test_damaged_weights_are_refused(straight, tmp_path):
    def copied(name):
        folder = tmp_path / name
        folder.mkdir()
        for suffix in (".safetensors", ".json"):
            (folder / f"tiny{suffix}").write_bytes(straight.with_suffix(suffix).read_bytes())
        return folder

    cut = copied("cut")
    (cut / "tiny.safetensors").write_bytes(straight.read_bytes()[:-40])
    with pytest.raises(FormatError, match="whole safetensors"):
        depth_source(f"monocular({cut})")
    content = json.loads(straight.with_suffix(".json").read_text())
    for name, change, message in (
        ("larger", {"core": {"side": 16, "width": 16, "blocks": 1}}, "another configuration"),
        ("odd", {"core": {"side": 16, "size": 3}}, "sizes of the monocular network"),
        ("none", {"core": None}, "sizes of the monocular network"),
        ("stereo", {"network": "stereo"}, "weights of the monocular network"),
    ):
        folder = copied(name)
        (folder / "tiny.json").write_text(json.dumps(content | change))
        with pytest.raises(FormatError, match=message):
            depth_source(f"monocular({folder})")


def test_images_are_functions_of_their_rooms_and_kept(tmp_path):
    config = SightsConfig(rooms=2, validation=1, images=2, batch=2)
    both, one = make_sights([3, 4], config, 16), make_sights([4], config, 16)
    assert torch.equal(both.rgb[2:], one.rgb) and torch.equal(both.focal[2:], one.focal)
    assert len(set(both.focal.tolist())) == 4 and bool((both.depth > 0).all())
    first, held_out = load_or_make(tmp_path, config, 16)
    again, _ = load_or_make(tmp_path, config, 16)
    assert len(first) == 4 and len(held_out) == 2 and torch.equal(first.rgb, again.rgb)
    with pytest.raises(ValueError, match="another configuration"):
        load_or_make(tmp_path, config, 24)


def test_depth_and_camera_of_an_image_belong_together():
    """Points of the floor, by the image's own depth and camera, lie in one plane; with another camera they do not."""
    config = SightsConfig(rooms=1, images=1, pitch=0.0, roll=0.0, principal=8.0)
    made = make_sights([7], config, 48)
    v = torch.arange(48.0)[:, None] + 0.5
    height = (made.depth[0].float() * (v - made.principal[0, 1]) / made.focal[0])[-3:]
    assert (height - config.eye_height).abs().median() < 0.01 or height.max() < config.eye_height + 0.01
    ceiling = (made.depth[0].float() * (v - made.principal[0, 1]) / made.focal[0])[:2]
    assert ceiling.min() > config.eye_height - 2.85


def test_mirrored_images_have_mirrored_cameras():
    made = make_sights([2], SightsConfig(images=2, principal=6.0), 32)
    other = mirrored(made, torch.tensor([True, False]))
    assert torch.equal(other.rgb[0].flip(1), made.rgb[0]) and torch.equal(other.depth[0].flip(1), made.depth[0])
    assert torch.equal(other.rgb[1], made.rgb[1]) and torch.equal(other.principal[1], made.principal[1])
    place, back = (pixel_places(each.principal, 32, 32)[0, 0] for each in (made, other))
    assert torch.allclose(place, -back.flip(1), atol=1e-6)


def test_colours_change_within_bounds_and_a_share_does_not():
    image = torch.rand(40, 3, 16, 16)
    changed = recoloured(image, 0.3, torch.Generator().manual_seed(0))
    same = (changed == image).flatten(1).all(1).float().mean()
    assert 0.1 < float(same) < 0.5 and bool(((changed >= 0) & (changed <= 1)).all())
    assert torch.equal(recoloured(image, 1.0, torch.Generator().manual_seed(0)), image)


def test_batches_are_functions_of_seed_and_step():
    made = make_sights([0, 1], SightsConfig(images=3), 16)
    a, b, c = (batch_of(made, TINY, step, CPU) for step in (4, 4, 5))
    assert torch.equal(a.image, b.image) and not torch.equal(a.image, c.image)
    plain = prepared(made)
    assert torch.allclose(plain.log_depth.exp() * (made.focal / 40)[:, None, None], made.depth.float(), rtol=1e-3)


def test_the_loss_is_least_at_the_truth_and_at_the_size_of_the_errors():
    truth = torch.rand(2, 8, 8)
    noise = 0.1 * torch.distributions.Laplace(0.0, 1.0).sample((2, 8, 8))

    def loss(offset, scale):
        return float(depth_loss(DepthDistribution(truth + offset, torch.full_like(truth, scale)), truth, 0.5)[0])

    assert loss(torch.zeros_like(truth), 0.1) < loss(torch.full_like(truth, 0.05), 0.1) < loss(noise, 0.1)
    # the scale's gradient alone: it vanishes where the scale is the mean absolute error
    scale = torch.full_like(truth, float(noise.abs().mean())).requires_grad_()
    depth_loss(DepthDistribution(truth + noise, scale), truth, 0.5)[0].backward()
    assert abs(float(scale.grad.sum())) < 1e-3
    small = torch.full_like(truth, 0.03).requires_grad_()
    depth_loss(DepthDistribution(truth + noise, small), truth, 0.5)[0].backward()
    assert float(small.grad.sum()) < -0.5, "a scale that is too small must grow"


def test_widening_makes_the_mean_confidence_the_share_that_is_right():
    torch.manual_seed(0)
    scale = 0.05 + 0.1 * torch.rand(20_000)
    error = 2.5 * scale * torch.distributions.Laplace(0.0, 1.0).sample((20_000,))
    factor = widening_for(error, scale)
    assert factor == pytest.approx(2.5, rel=0.05)
    assert float((1 - (-RIGHT / (factor * scale)).exp()).mean()) == pytest.approx(
        float((error.abs() < RIGHT).float().mean()), abs=1e-3
    )


def test_the_shipped_file_is_read_by_its_key(root, tmp_path):
    config = read_training(root / "configs" / "train-depth" / "monocular.yaml")
    assert isinstance(config, MonocularTraining) and config == MonocularTraining()
    other = tmp_path / "other.yaml"
    other.write_text("network: monocle\n")
    with pytest.raises(ValueError, match="monocular"):
        read_training(other)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="multiple of 8"):
        MonocularConfig(side=60)
    with pytest.raises(ValueError, match="multiple of 8"):
        MonocularConfig(width=20)
    with pytest.raises(ValueError, match="least_fov"):
        SightsConfig(least_fov=120)
