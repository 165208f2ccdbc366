import dataclasses
from importlib import import_module
from pathlib import Path
from typing import Literal

import pytest

from hybridwm.cli import SUBJECTS
from hybridwm.configuration import dump_yaml, find_config, from_mapping, load_yaml, to_mapping
from hybridwm.training.config import RecallConfig, TrainConfig


@dataclasses.dataclass(frozen=True)
class Optimizer:
    rate: float = 1e-3
    name: Literal["adamw", "sgd"] = "adamw"


@dataclasses.dataclass(frozen=True)
class Settings:
    steps: int
    optimizer: Optimizer = Optimizer()
    sizes: tuple[int, ...] = (1, 2)
    span: tuple[float, float] = (0.0, 1.0)
    folder: Path | None = None
    names: dict[str, int] = dataclasses.field(default_factory=dict)
    fast: bool = False

    def __post_init__(self):
        if self.steps < 0:
            raise ValueError(f"steps must be >= 0; got {self.steps}")


def read(tmp_path, text):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    return load_yaml(file, Settings)


def test_fills_nested_fields_and_keeps_the_defaults(tmp_path):
    text = "steps: 3\noptimizer: {rate: 1e-4}\nsizes: [4]\nfolder: runs/a\nnames: {a: 1}\n"
    settings = read(tmp_path, text)
    assert settings == Settings(3, Optimizer(1e-4), (4,), folder=Path("runs/a"), names={"a": 1})


def test_what_is_written_reads_back_equal(tmp_path):
    settings = Settings(5, Optimizer(0.25, "sgd"), (), (2.0, 3.5), Path("a/b"), {"x": 2}, True)
    assert read(tmp_path, dump_yaml(settings)) == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 3", "Settings has no key 'stepz'; did you mean 'steps'?"),
        ("steps: 3\noptimizer: {rats: 1}", "optimizer: Optimizer has no key 'rats'; did you mean 'rate'?"),
        ("steps: 3\nqqqqqq: 1", "has no key 'qqqqqq'; it has steps, optimizer"),
        ("fast: true", "expected the key 'steps'"),
        ("steps: 1.5", "steps: expected an integer, got 1.5"),
        ("steps: true", "steps: expected an integer, got True"),
        ("steps: 1\nfast: 1", "fast: expected true or false, got 1"),
        ("steps: 1\noptimizer: {rate: quick}", "rate: expected a number, got 'quick'"),
        ("steps: 1\noptimizer: {name: adam}", "name: expected one of adamw, sgd, got 'adam'"),
        ("steps: 1\nspan: [1]", "span: expected 2 values, got 1"),
        ("steps: 1\nsizes: 4", "sizes: expected a list, got 4"),
        ("steps: 1\nsizes: [4, x]", r"sizes\[1\]: expected an integer, got 'x'"),
        ("steps: -1", "steps must be >= 0; got -1"),
        ("- 1", "expected 'key: value' lines for Settings"),
        ("steps: [", "expected YAML"),
        ("steps: !!python/object/apply:os.system ['true']", "expected YAML"),
    ],
)
def test_errors_name_the_file_and_the_key(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, text)
    assert "settings.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_absent_file_says_where_it_looked():
    with pytest.raises(FileNotFoundError, match="expected a YAML file at absent.yaml"):
        find_config("absent.yaml")


def test_no_way_out_of_the_packaged_folder():
    with pytest.raises(FileNotFoundError):
        find_config("../pyproject.toml")


def test_mapping_must_be_a_mapping():
    with pytest.raises(ValueError, match="here: expected"):
        from_mapping(3, Settings, "here")


ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_packaged_file_is_taken_by_the_command_of_its_folder(file):
    folder = file.relative_to(ROOT / "configs").parts[0]
    name = folder.replace("-", "_")
    name = f"{name}_{file.stem}" if folder in SUBJECTS else name
    command = import_module(f"hybridwm.cli.{name}")
    options = command.Options.from_file(file)
    assert options != command.Options()
    # It names the command that takes it, as a reader would type it.
    assert file.relative_to(ROOT).as_posix() in file.read_text().splitlines()[0]


SMALL = ROOT / "configs/train/small"
DIFFERS = {
    "shuffled": {"shuffle_actions": True},
    "teacher-forced": {"context": "clean", "core.context_noise": 0.0},
    "no-context-noise": {"core.context_noise": 0.0},
    "one-level": {"context": "shared"},
    "dropped": {"context": "dropped"},
    "flow-only": {"shortcut": 0.0},
    "100": {"steps": 100, "validate_every": 100},
    "900": {"steps": 900, "validate_every": 900},
    "video": {"recall": to_mapping(RecallConfig(drop=1.0))},
    "grounded": {"recall": to_mapping(RecallConfig(drop=0.0))},
}


def test_small_recipes_differ_from_the_main_one_in_what_they_control_alone():
    def flat(file):
        told = to_mapping(load_yaml(file, TrainConfig))
        return {k: v for k, v in told.items() if k != "core"} | {f"core.{k}": v for k, v in told["core"].items()}

    main = flat(SMALL / "rooms-64-small.yaml")
    shipped = flat(ROOT / "configs/train/rooms-64.yaml")
    assert {k: v for k, v in main.items() if k.startswith("core.")}.items() <= shipped.items()
    found = {}
    for file in sorted(SMALL.glob("rooms-64-small-*.yaml")):
        name, told = file.stem.removeprefix("rooms-64-small-"), flat(file)
        assert told["name"] == file.stem
        found[name] = {k: v for k, v in told.items() if v != main[k] and k != "name"}
    assert found == DIFFERS
