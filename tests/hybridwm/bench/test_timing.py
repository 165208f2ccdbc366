import time
from dataclasses import dataclass, field

import pytest
import torch

from hybridwm.bench.contenders import BESIDE, Contender, contenders
from hybridwm.bench.scenes import room_camera, room_splats
from hybridwm.bench.timing import Times, take_turns
from render import rasterize


@dataclass(frozen=True)
class Sleeper(Contender):
    """Takes a known time forward, and adds its name to a list whenever it draws."""

    seconds: float = 0.0
    drawn: list = field(default_factory=list, compare=False)

    def prepare(self, gaussians, camera):
        leaf = torch.ones(1, requires_grad=True)

        def draw():
            time.sleep(self.seconds)
            self.drawn.append(self.name)
            return (leaf * torch.ones(camera.height, camera.width, 3),)

        return draw, [leaf]


def turns(*given, **options):
    return take_turns(given, room_splats(4), room_camera(8, 8), **options)


def test_a_slower_one_takes_longer_in_the_same_rounds():
    quick, slow = Sleeper("quick", 1, None, 0.004, []), Sleeper("slow", 1, None, 0.02, [])
    a, b = turns(quick, slow, repeats=5, seconds=10)
    assert len([taken for taken in a.rounds if taken]) == len([taken for taken in b.rounds if taken]) == 5
    for phase in ("render", "forward"):
        assert 4 <= a.milliseconds(phase) < 15
        assert b.milliseconds(phase) >= 20
        assert 0.1 < a.over(b, phase) < 0.6
    assert a.over(b, "render") == pytest.approx(1 / b.over(a, "render"))
    assert a.milliseconds("backward") < 4


def test_the_order_turns_round_every_round():
    drawn = []
    one, other = Sleeper("one", 1, None, 0, drawn), Sleeper("other", 1, None, 0, drawn)
    turns(one, other, repeats=2, seconds=10)
    rounds = drawn[-8:]  # two draws each: render, and forward
    assert rounds == ["one", "one", "other", "other", "other", "other", "one", "one"]


def test_one_that_is_slow_has_a_single_round():
    quick, slow = Sleeper("quick", 1, None, 0.0, []), Sleeper("slow", 1, None, 0.05, [])
    a, b = turns(quick, slow, repeats=4, seconds=0.2)
    assert [taken is not None for taken in a.rounds] == [True] * 4
    assert [taken is not None for taken in b.rounds] == [True, False, False, False]
    assert a.over(b, "forward") < 0.5


def test_ratios_pair_the_rounds():
    # A machine that slows down fourfold half way does not show in the ratio.
    a, b = Times(Contender("cpu", 1)), Times(Contender("torch", 1))
    a.rounds = [{"render": 1.0}, {"render": 1.0}, {"render": 4.0}, {"render": 4.0}]
    b.rounds = [{"render": 2.0}, {"render": 2.0}, {"render": 8.0}, None]
    assert a.over(b, "render") == 0.5
    assert a.over(b, "backward") is None
    # One round says little: all of the other's are taken.
    b.rounds = [{"render": 5.0}, None, None, None]
    assert a.over(b, "render") == 2.5 / 5


def test_contenders_share_the_scene_and_the_image():
    given = [Contender("cpu", 1), Contender("cpu", 2), Contender("torch", 2)]
    measured = take_turns(given, room_splats(400), room_camera(40, 30), repeats=1, seconds=10)
    assert [times.contender for times in measured] == given
    for times in measured:
        assert times.difference < 1e-4
        assert all(times.milliseconds(phase) > 0 for phase in ("render", "forward", "backward"))


def test_a_rasterizer_in_a_folder_is_measured_beside(tmp_path, monkeypatch):
    (tmp_path / f"{BESIDE}.py").write_text(
        "import torch\nfrom neighbour import again\n"
        "def rasterize(means, quats, scales, opacities, colours, w2c, K, width, height, threads):\n"
        "    return again(means, quats, scales, opacities, colours, w2c, K, width, height)\n"
    )
    (tmp_path / "neighbour.py").write_text(
        "import torch\nfrom render import Camera, Gaussians, rasterize, sh_from_rgb\n"
        "def again(means, quats, scales, opacities, colours, w2c, K, width, height):\n"
        "    splats = Gaussians(means, quats, scales, opacities, sh_from_rgb(colours))\n"
        "    output = rasterize(splats, Camera(K, w2c, width, height), backend='torch')\n"
        "    return torch.cat([output.rgb, output.depth[..., None]], dim=-1), output.alpha[..., None]\n"
    )
    found = contenders(["torch"], [1, 2], tmp_path)
    assert [contender.key for contender in found] == [f"{BESIDE}, 1 thread", f"{BESIDE}, 2 threads", "torch, 1 thread"]
    try:
        measured = take_turns(found, room_splats(100), room_camera(20, 16), repeats=1, seconds=10)
    finally:
        import sys

        for name in (BESIDE, "neighbour"):
            sys.modules.pop(name, None)
    assert max(times.difference for times in measured) < 1e-6
    assert measured[0].milliseconds("backward") > 0


def test_what_cannot_be_measured_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"expected a folder with {BESIDE}.py"):
        contenders([], [1], tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="needs a CUDA GPU"):
            contenders(["gsplat"], [1], None)


def test_leaves_are_copies():
    splats, camera = room_splats(9), room_camera(8, 8)
    draw, leaves = Contender("torch", 1).prepare(splats, camera)
    draw()[0].sum().backward()
    assert all(leaf.grad is not None for leaf in leaves)
    assert splats.means.grad is None
    assert torch.equal(draw()[0][0], rasterize(splats, camera, backend="torch").rgb)
