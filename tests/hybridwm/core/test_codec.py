import json
import sys

import pytest
import torch
from latent_models import save_autoencoder

from hybridwm.core.codec import Codec, PixelCodec, codec_for, decode_eyes, encode_eyes, encode_recall, frame_intrinsics
from hybridwm.core.conditioning import to_images, to_video
from hybridwm.core.config import CoreConfig
from hybridwm.core.embeddings import ray_map

KINDS = ("AutoencoderKL", "AutoencoderTiny")
LATENT = CoreConfig(height=8, width=12, eye_channels=4, factor=2, patch=2, dim=24, depth=2, heads=3)


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, 16, 24, 3, generator=torch.Generator().manual_seed(0))


def test_pixels_are_what_they_were():
    codec, (left, right) = PixelCodec(), images(2)
    assert isinstance(codec, Codec)
    assert torch.equal(codec.encode(left), to_video(left, None))
    assert torch.equal(codec.decode(codec.encode(left)), to_images(to_video(left, None))[0])
    both = encode_eyes(codec, left, right)
    assert torch.equal(both, to_video(left, right))
    assert all(torch.equal(a, b) for a, b in zip(decode_eyes(codec, both), to_images(both), strict=True))


@pytest.fixture(scope="module", params=KINDS)
def latent(request, tmp_path_factory):
    return codec_for(LATENT, str(save_autoencoder(request.param, tmp_path_factory.mktemp("autoencoder"))))


def test_latents_have_their_shapes_and_are_always_the_same(latent):
    assert isinstance(latent, Codec) and (latent.channels, latent.factor) == (4, 2)
    shown = images(3, 2)
    frames = latent.encode(shown)
    assert frames.shape == (3, 2, 4, 8, 12)
    assert torch.equal(frames, latent.encode(shown))
    assert torch.allclose(frames[1, 0], latent.encode(shown[1, 0]), atol=1e-5)
    decoded = latent.decode(frames)
    assert decoded.shape == shown.shape and decoded.min() >= 0 and decoded.max() <= 1
    assert torch.equal((decoded * 255).round() / 255, decoded), "images are 8-bit"
    left, right = decode_eyes(latent, encode_eyes(latent, shown[0, 0], shown[0, 1]))
    assert torch.allclose(left, decoded[0, 0], atol=1.01 / 255) and torch.allclose(
        right, decoded[0, 1], atol=1.01 / 255
    )
    with pytest.raises(ValueError, match="sides that 2 divides; got 15x24"):
        latent.encode(shown[..., :15, :, :])


@pytest.mark.parametrize("kind", KINDS)
def test_latents_are_moved_and_scaled_as_their_model_says(kind, tmp_path):
    plain, moved = (
        codec_for(LATENT, str(save_autoencoder(kind, tmp_path / name, scaling_factor=scale, shift_factor=shift)))
        for name, scale, shift in (("plain", 1.0, 0.0), ("moved", 3.0, 0.25))
    )
    a, b = plain.encode(images()), moved.encode(images())
    assert torch.allclose(b, (a - 0.25) * 3, atol=1e-5)
    assert torch.allclose(moved.decode(b), plain.decode(a), atol=1.01 / 255)


def test_means_and_deviations_of_channels_come_before_a_shift(tmp_path):
    mean, std = [0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0]
    plain = codec_for(LATENT, str(save_autoencoder("AutoencoderKL", tmp_path / "plain", scaling_factor=1.0)))
    told = save_autoencoder("AutoencoderKL", tmp_path / "told", scaling_factor=0.5, latents_mean=mean, latents_std=std)
    column = torch.tensor([mean, std])[..., None, None]
    assert torch.allclose(
        codec_for(LATENT, str(told)).encode(images()), (plain.encode(images()) - column[0]) * 0.5 / column[1], atol=1e-5
    )


def test_recall_goes_through_the_codec_and_shares_are_averaged(latent):
    colours, told = images(2).movedim(-1, -3).flatten(0, 1) * 2 - 1, torch.rand(4, 16, 24)
    recall = encode_recall(latent, torch.cat([colours, told])[None], 2)
    assert recall.shape == (1, LATENT.recall_channels, 8, 12)
    assert torch.allclose(recall[0, :8], encode_eyes(latent, *images(2)), atol=1e-5)
    assert torch.allclose(recall[0, 8, 0, 0], told[0, :2, :2].mean())


def test_rays_of_latents_are_those_of_the_images():
    K = torch.tensor([[20.0, 0, 12], [0, 20, 8], [0, 0, 1]])
    whole = ray_map(K, torch.eye(4), patch=4, width=24, height=16)
    assert torch.allclose(ray_map(frame_intrinsics(K, 2), torch.eye(4), patch=2, width=12, height=8), whole)
    assert not torch.allclose(ray_map(K, torch.eye(4), patch=2, width=12, height=8), whole, atol=0.05)


def test_a_core_of_latents_needs_a_codec_that_fits(tmp_path):
    with pytest.raises(ValueError, match="expected a codec's folder for frames of latents"):
        codec_for(LATENT)
    folder = save_autoencoder("AutoencoderTiny", tmp_path / "tiny")
    with pytest.raises(ValueError, match="core.eye_channels=3 channels, core.factor=1 .*; got 4 and 2"):
        codec_for(CoreConfig(), str(folder))


def test_folders_of_something_else_are_refused(tmp_path):
    folder = save_autoencoder("AutoencoderTiny", tmp_path / "tiny")
    with pytest.raises(FileNotFoundError, match="local folder .* found no config.json"):
        codec_for(LATENT, "stabilityai/sd-vae")
    weights, config = folder / "diffusion_pytorch_model.safetensors", folder / "config.json"
    whole, told = weights.read_bytes(), json.loads(config.read_text())
    weights.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match="expected the whole of a saved AutoencoderTiny; got"):
        codec_for(LATENT, str(folder))
    weights.rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="Save it as safetensors"):
        codec_for(LATENT, str(folder))
    config.write_text(json.dumps({**told, "_class_name": "UNet2DModel"}))
    with pytest.raises(ValueError, match="expected .*AutoencoderKL or AutoencoderTiny.*; got UNet2DModel"):
        codec_for(LATENT, str(folder))
    config.write_text("{")
    with pytest.raises(ValueError, match="got no JSON"):
        codec_for(LATENT, str(folder))


def test_without_the_extra_it_says_how_to_get_it(tmp_path, monkeypatch):
    folder = save_autoencoder("AutoencoderTiny", tmp_path / "tiny")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ImportError, match=r"pip install 'hybridwm\[latent\]'") as caught:
        codec_for(LATENT, str(folder))
    assert "\n" not in str(caught.value)
