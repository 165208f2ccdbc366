import pytest
import torch
from safetensors.torch import save_file

from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.episodes import Episode, load_episode, save_episode
from hybridwm.worlds.rooms import RoomsRig
from render import FormatError


def episode(frames=3, height=6, width=8, **changes):
    values = {
        "rgb": torch.randint(0, 256, (frames, height, width, 3), dtype=torch.uint8),
        "w2c": torch.eye(4).repeat(frames, 1, 1),
        "K": torch.tensor([[5.0, 0, 4], [0, 5, 3], [0, 0, 1]]),
        "actions": torch.rand(frames - 1, 4),
        "right": torch.randint(0, 256, (frames, height, width, 3), dtype=torch.uint8),
        "depth": torch.rand(frames, height, width),
        "baseline": 0.3,
        "disparity_offset": -1.5,
        "up": (0.0, -1.0, 0.0),
        "world": "test",
        "seed": 9,
    }
    return Episode(**{**values, **changes})


def test_what_is_written_reads_back_equal(tmp_path):
    bare = episode(right=None, depth=None, baseline=None, w2c=None, K=None)
    robot = episode(
        actions=torch.rand(2, 3), action_names=("dx", "dy", "grip"), proprio=torch.rand(3, 2), proprio_names=("a", "b"),
        touch=torch.rand(3, 1), touch_names=("pad",), fps=8.75, task="push the red box",
    )  # fmt: skip
    for given in (episode(), episode(1), episode(right=None, depth=None, baseline=None), bare, robot):
        save_episode(given, tmp_path / "a.safetensors")
        read = load_episode(tmp_path / "a.safetensors")
        for name in Episode.__dataclass_fields__:
            one, other = getattr(given, name), getattr(read, name)
            assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_an_episode_without_cameras_has_no_views():
    with pytest.raises(ValueError, match="expected cameras"):
        episode(w2c=None, K=None).view(0)


def test_a_view_is_what_the_rig_saw():
    view = episode().views()[2]
    assert (view.width, view.height) == (8, 6)
    assert view.baseline == 0.3
    assert view.disparity_offset == -1.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": torch.rand(3, 4)}, r"actions must be \[2, 4\]; got \[3, 4\]"),
        ({"w2c": torch.eye(4)[None]}, r"w2c"),
        ({"baseline": None}, "baseline must be metres"),
        ({"up": (0.0, 0.0, 2.0)}, "up must be a unit vector"),
        ({"K": None}, "w2c and K together"),
        ({"fps": 0.0}, "fps must be above 0"),
        ({"touch": torch.rand(3, 2), "touch_names": ("pad",)}, r"touch must be \[3, 1\]; got \[3, 2\]"),
        ({"action_names": ("x",)}, r"actions must be \[2, 1\]"),
    ],
)
def test_parts_must_fit(changes, message):
    with pytest.raises((ValueError, TypeError), match=message):  # TypeError: under the type checker of the tests
        episode(**changes)


def test_hostile_files_give_our_error_and_name_the_file(tmp_path):
    file = tmp_path / "a.safetensors"
    save_episode(episode(), file)
    content = file.read_bytes()
    broken = [content[:cut] for cut in (0, 4, 8, 20, len(content) // 2, len(content) - 1)]
    broken += [b"\xff" * 8 + content[8:], content.replace(b'"rgb"', b'"rgx"'), content.replace(b"U8", b"I8")]
    broken += [content.replace(b'"version":"1"', b'"version":"2"'), content.replace(b"0.3", b"nan")]
    for bad in broken:
        file.write_bytes(bad)
        with pytest.raises(FormatError, match="a.safetensors: expected"):
            load_episode(file)
    save_file({"rgb": torch.zeros(1, 2, 2, 3, dtype=torch.uint8)}, file, {"version": "1"})
    with pytest.raises(FormatError, match="a.safetensors: expected"):
        load_episode(file)
    bad = episode().depth
    bad[0, 0, 0] = float("nan")
    save_episode(episode(depth=bad), file)
    with pytest.raises(FormatError, match="NaN or infinity in depth"):
        load_episode(file)


def test_walks_depend_on_their_seed_alone():
    rig = RoomsRig(size=16)
    together = walk_rooms([3, 4], 5, rig)
    alone = walk_rooms([4], 5, rig)[0]
    assert together[1].seed == alone.seed == 4
    assert torch.equal(together[1].rgb, alone.rgb)
    assert torch.equal(together[1].w2c, alone.w2c)
    assert not torch.equal(together[0].rgb, alone.rgb)
    assert float(alone.depth.min()) > 0.1
    with pytest.raises(ValueError, match="at least 2 frames"):
        walk_rooms([3], 1, rig)
