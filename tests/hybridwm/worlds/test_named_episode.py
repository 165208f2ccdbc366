import pytest
import torch

from hybridwm.worlds.episodes import Episode, save_episode
from hybridwm.worlds.lerobot import DatasetWriter, encode
from hybridwm.worlds.named_episode import named_episode


def numbered(seed):
    rgb = torch.full((2, 8, 8, 3), seed, dtype=torch.uint8)
    return Episode(rgb, None, None, torch.zeros(1, 1), action_names=("a",), seed=seed)


def test_an_episode_by_file_by_folder_and_by_number(tmp_path):
    save_episode(numbered(9), tmp_path / "walk.safetensors")
    assert named_episode(tmp_path / "walk.safetensors").seed == 9
    for shard, seeds in enumerate(((0, 2), (1,))):
        writer = DatasetWriter(tmp_path / "runs" / f"shard-{shard}-of-2")
        for seed in seeds:
            writer.add(encode(numbered(seed)))
    one = tmp_path / "runs" / "shard-0-of-2"
    assert [named_episode(path).seed for path in (one, f"{one}#0", f"{one}#1")] == [0, 0, 2]
    assert [named_episode(f"{tmp_path}/runs#{i}").seed for i in range(3)] == [0, 2, 1]
    with pytest.raises(ValueError, match="expected an episode from 0 to 2; got 3"):
        named_episode(f"{tmp_path}/runs#3")
    with pytest.raises(FileNotFoundError, match="expected a LeRobot dataset"):
        named_episode(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected an episode, found no such file"):
        named_episode(tmp_path / "none#2")


def test_a_file_whose_name_has_a_number_sign_is_itself(tmp_path):
    save_episode(numbered(9), tmp_path / "walk#3")
    assert named_episode(tmp_path / "walk#3").seed == 9
