"""Bad input: one clear line on stderr, exit status 2, no traceback, nothing half-written."""

import pytest
from PIL import Image

from hybridwm.cli import main
from hybridwm.cli.errors import is_expected, one_line, unboxed


@pytest.fixture
def refused(capfd, tmp_path):
    """Runs a command that must be refused with one line that has these words, and must leave `tmp_path/out` alone."""

    def run(*arguments, words):
        arguments = [str(argument) for argument in arguments]
        capfd.readouterr()
        status = main(arguments)
        printed = capfd.readouterr()
        assert status == 2, printed
        lines = printed.err.strip().splitlines()
        assert len(lines) == 1, printed.err
        assert lines[0].startswith("hybridwm")
        assert words in lines[0]
        assert printed.out == ""
        assert not (tmp_path / "out").exists()

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "expected one of demo, collect, convert, train"),
        (["collect", "--shard", "4/4"], "expected i/N with 0 <= i < N"),
        (["collect", "--shard", "one"], "got 'one'"),
        (["collect", "--episodes", "0"], "expected 1 to"),
        (["collect", "--episodes", "some"], "invalid literal for int() with base 10: 'some'"),
        (["collect", "--episode", "3"], "Unrecognized options: --episode, 3; Perhaps you meant: --episodes"),
        (["collect", "--size", "2"], "collect.size: expected 8 to"),
        (["collect", "--config", "absent.yaml"], "expected a YAML file at absent.yaml, found none"),
        (["train", "absent.yaml"], "the packaged ones are configs/"),
        (["train", "--clip", "1"], "TrainConfig.clip: expected at least 2"),
        (["demo", "--scenes", "0"], "DemoConfig.scenes: expected at least 1"),
        (["rollout", "--actions", "w-2,q-1"], "got 'q-1'"),
        (["rollout", "--weights", "absent"], "weights 'absent': expected a packaged name"),
        (["rollout", "--memory", "recent", "--depth", "stereo"], "expected none with memory 'recent'"),
        (["reconstruct", "absent.png", "absent2.png", "--focal", "9", "--baseline", ".1"], "absent.png"),
        (["reconstruct", "alone.png"], "expected two images, or a folder"),
        (["render", "absent.ply"], "absent.ply: no such file"),
        (["render", "absent.ply", "--out", "film.avi"], "expected a name ending in .mp4 or .png; got 'film.avi'"),
        (["render", "absent.ply", "--path", "spiral"], "spiral"),
    ],
)
def test_what_can_be_seen_from_the_command_line(refused, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    out = [] if arguments[0] in ("trian", "render", "demo") else ["--out", tmp_path / "out"]
    refused(*arguments, *out, words=words)
    assert list(tmp_path.iterdir()) == []


def test_unknown_yaml_key(refused, tmp_path):
    for command, text, words in (
        ("train", "stepz: 3", "TrainConfig has no key 'stepz'; did you mean 'steps'?"),
        ("train", "core: {dimm: 3}", "core: CoreConfig has no key 'dimm'; did you mean 'dim'?"),
        ("demo", "scene: 3", "DemoConfig has no key 'scene'; did you mean 'scenes'?"),
    ):
        file = tmp_path / f"{command}.yaml"
        file.write_text(text)
        given = [file] if command == "train" else ["--config", file]
        refused(command, *given, "--out", tmp_path / "out", words=words)


def test_a_pair_of_unequal_sizes(refused, pair, tmp_path):
    with Image.open(pair.right) as image:
        image.resize((90, 96)).save(tmp_path / "small.png")
    words = "images of one size"
    arguments = [pair.left, tmp_path / "small.png", "--focal", "60", "--baseline", "0.3"]
    refused("reconstruct", *arguments, "--out", tmp_path / "out", words=words)


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        ("cam0=[60 0 48; 0 60 48; 0 0 1]\n", "expected baseline"),
        ("cam0=[60 0 48; 0 60 48; 0 0 1]\nbaseline=nan\n", "baseline"),
        ("cam0=[60 0 48]\nbaseline=300\n", "expected 9 numbers in cam0"),
        ("cam0=[60 0 48; 0 60 48; 0 0 1]\nbaseline=300\nwidth=50\nheight=50\n", "images of 50x50"),
        ("\x00\x01", "cam0"),
    ],
)
def test_a_bad_calibration(refused, pair, tmp_path, calibration, words):
    (tmp_path / "calib.txt").write_text(calibration)
    arguments = [pair.left, pair.right, "--calibration", tmp_path / "calib.txt"]
    refused("reconstruct", *arguments, "--out", tmp_path / "out", words=words)


def test_no_calibration_and_half_of_one(refused, pair, tmp_path):
    out = ["--out", tmp_path / "out"]
    refused("reconstruct", pair.left, pair.right, *out, words="got no focal")
    refused("reconstruct", pair.left, pair.right, "--focal", "60", *out, words="got no baseline")


def test_images_that_are_none_and_images_without_texture(refused, pair, tmp_path):
    (tmp_path / "a.png").write_bytes(pair.left.read_bytes()[:500])
    known = ["--focal", "60", "--baseline", "0.3", "--out", tmp_path / "out"]
    refused("reconstruct", tmp_path / "a.png", pair.right, *known, words="a.png: expected an image")
    Image.new("RGB", (96, 96), (90, 90, 90)).save(tmp_path / "grey.png")
    refused("reconstruct", tmp_path / "grey.png", tmp_path / "grey.png", *known, words="no trusted depth")


def test_a_scene_file_whose_header_lies(refused, reconstructed, tmp_path):
    content = (reconstructed / "scene" / "scene.ply").read_bytes()
    begin = content.index(b"element vertex ")
    end = content.index(b"\n", begin)
    (tmp_path / "lies.ply").write_bytes(content[:begin] + b"element vertex 4000000000" + content[end:])
    refused("render", tmp_path / "lies.ply", "--out", tmp_path / "film.mp4", words="lies.ply: expected")
    assert not (tmp_path / "film.mp4").exists()


def test_weights_of_another_configuration(refused, small_weights, tmp_path):
    config = (small_weights / "small.json").read_text()
    (tmp_path / "other.json").write_text(config.replace('"dim": 32', '"dim": 64', 1))
    (tmp_path / "other.safetensors").write_bytes((small_weights / "small.safetensors").read_bytes())
    given = ["--weights", tmp_path / "other.safetensors", "--out", tmp_path / "out"]
    refused("rollout", *given, words="other.safetensors")


def test_a_beginning_that_is_none(refused, small_weights, reconstructed, tmp_path):
    given = ["--weights", small_weights, "--out", tmp_path / "out"]
    refused("rollout", *given, "--start", tmp_path, words="expected start.safetensors")
    content = (reconstructed / "start.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:-100])
    refused("rollout", *given, "--start", tmp_path / "cut.safetensors", words="cut.safetensors: expected")
    (tmp_path / "junk.safetensors").write_bytes(b"\xff" * 64)
    refused("rollout", *given, "--start", tmp_path / "junk.safetensors", words="junk.safetensors: expected")


def test_bugs_keep_their_traceback_and_developers_can_ask_for_one(monkeypatch):
    from hybridwm.cli import doctor

    def fail(options):
        raise error

    monkeypatch.setattr(doctor, "run", fail)
    for error, flags in ((AssertionError("bug"), []), (ValueError("input"), ["--traceback"])):
        with pytest.raises(type(error)):
            main(["doctor", *flags])


def test_one_line():
    assert one_line(FileNotFoundError(2, "No such file or directory", "a.png")) == "a.png: No such file or directory"
    assert one_line(ValueError("a\n  b")) == "ValueError: a b (--traceback shows where)"
    try:
        int("x")
    except ValueError as error:
        assert is_expected(error)
    assert not is_expected(KeyError("x"))
    assert not is_expected(TypeError("x"))
    box = "╭─ Value error ─╮\n│ Error parsing Options: it is │\n│ wrong. │\n│ ─── │\n│ For help │\n╰──╯\n"
    assert unboxed(box) == "it is wrong"
    assert unboxed("plain") == "plain"
