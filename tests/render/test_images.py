import numpy as np
import pytest
import torch
from PIL import Image

from render import FormatError
from render.images import colour_depth, read_image, to_uint8, turbo, write_png
from render.video import read_video, write_mp4


def test_png_returns_to_half_a_step(tmp_path):
    image = torch.rand(45, 70, 3)
    write_png(tmp_path / "a.png", image)
    assert (read_image(tmp_path / "a.png") - image).abs().max() <= 0.5 / 255 + 1e-6
    write_png(tmp_path / "a.png", to_uint8(image)[..., 0])
    assert read_image(tmp_path / "a.png").shape == (45, 70, 3)
    assert to_uint8(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0, torch.nan])).tolist() == [0, 0, 128, 255, 255, 0]


def test_sixteen_bits_and_transparency(tmp_path):
    Image.fromarray(np.full((4, 6), 32768, np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png").flatten().tolist() == pytest.approx([32768 / 65535] * 72)
    Image.new("RGBA", (6, 4), (255, 0, 0, 7)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png")[0, 0].tolist() == [1, 0, 0]


def test_broken_images_are_format_errors(tmp_path, unchecked):
    write_png(tmp_path / "good.png", torch.rand(45, 70, 3))
    whole = (tmp_path / "good.png").read_bytes()
    bad = tmp_path / "bad.png"
    for content in (b"", b"hello", whole[:40], whole[: len(whole) // 2]):
        bad.write_bytes(content)
        with pytest.raises(FormatError, match=r"bad\.png: expected an image"):
            read_image(bad)
    huge = whole[:16] + (60_000).to_bytes(4, "big") * 2 + whole[24:]
    bad.write_bytes(huge)
    with pytest.raises(FormatError):
        read_image(bad)
    with pytest.raises(FileNotFoundError, match="no such image"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"\[H, W, 3\] or \[H, W\]"):
        write_png(tmp_path / "x.png", torch.rand(3, 45, 70, 3))


def test_depth_colours_run_from_red_near_to_blue_far():
    depth = torch.tensor([[1.0, 2.0, 10.0, 0.0]])
    rgb = colour_depth(depth)
    assert rgb[0, 0].argmax() == 0 and rgb[0, 3].tolist() == [0, 0, 0]
    assert rgb[0, 1].argmax() == 1 and rgb[0, 2].sum() < 1
    assert torch.equal(colour_depth(torch.zeros(2, 3)), torch.zeros(2, 3, 3))
    reference = pytest.importorskip("matplotlib").colormaps["turbo"](np.linspace(0.05, 0.95, 50))[:, :3]
    assert np.abs(turbo(np.linspace(0.05, 0.95, 50)) - reference).max() < 0.1  # a polynomial fit


def test_video_returns_with_odd_sizes_padded(tmp_path):
    ramp = np.linspace(0, 255, 7 * 45 * 63).reshape(7, 45, 63, 1).repeat(3, axis=-1).astype(np.uint8)
    write_mp4(tmp_path / "a.mp4", ramp, 7.5, upscale=2)
    frames, fps = read_video(tmp_path / "a.mp4")
    assert frames.shape == (7, 90, 126, 3) and fps == pytest.approx(7.5)
    write_mp4(tmp_path / "b.mp4", torch.from_numpy(ramp), 10)
    frames, _ = read_video(tmp_path / "b.mp4")
    assert frames.shape == (7, 46, 64, 3)
    assert np.abs(frames[:, :45, :63].numpy().astype(int) - ramp).mean() < 4


def test_broken_videos_are_format_errors(tmp_path, unchecked):
    frames = np.random.default_rng(0).integers(0, 255, (30, 64, 96, 3), np.uint8)
    write_mp4(tmp_path / "a.mp4", frames, 10)
    whole = bytearray((tmp_path / "a.mp4").read_bytes())
    bad = tmp_path / "bad.mp4"
    damaged = whole.copy()
    damaged[len(whole) // 4 : len(whole) // 2] = bytes(len(whole) // 2 - len(whole) // 4)
    for content in (b"", b"hello", whole[: len(whole) // 2], damaged):
        bad.write_bytes(content)
        try:
            kept, _ = read_video(bad)
        except FormatError as error:
            assert "bad.mp4: expected" in str(error)
        else:
            assert len(kept) == 30  # the decoder concealed the damage without dropping frames
    with pytest.raises(ValueError, match="to_uint8"):
        write_mp4(bad, torch.rand(3, 8, 8, 3).numpy(), 10)
    with pytest.raises(FileNotFoundError):
        read_video(tmp_path / "none.mp4")
