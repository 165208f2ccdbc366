"""The house rules that a reader of the imports can check: direction, sizes, names, and who may import what."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("render", "recon", "hybridwm")
# What each package may import of the three, itself apart (that is done by relative imports).
MAY_IMPORT = {"render": set(), "recon": {"render"}, "hybridwm": {"render", "recon"}}
MAX_LINES = 400
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "types", "stuff"}
# Heavy or optional libraries, and the modules (or the folder) that import them: one for each package and purpose.
DOORS = {
    "av": {"render/video.py", "hybridwm/worlds/lerobot/"},
    "cv2": {
        "hybridwm/bench/recon_stereo.py",
        "hybridwm/bench/recon_stereo_pairs.py",
        "hybridwm/study/camera_following.py",
        "hybridwm/study/optical_motion.py",
        "recon/features.py",
        "recon/matching_cost.py",
        "recon/readers/lens.py",
        "recon/rectification.py",
        "recon/resection.py",
        "recon/stereo.py",
        "recon/stereo_checks.py",
        "recon/stereo_confidence.py",
        "recon/stereo_refinement.py",
        "recon/two_view.py",
    },
    "diffusers": {"hybridwm/core/diffusers_codec.py"},
    "gsplat": {"render/rasterize_gsplat.py"},
    "gymnasium": {
        "hybridwm/__init__.py",
        "hybridwm/bench/worlds.py",
        "hybridwm/dream.py",
        "hybridwm/dream_actions.py",
        "hybridwm/dream_beginnings.py",
        "hybridwm/gym_env.py",
        "hybridwm/gym_vector.py",
        "hybridwm/worlds/arm/env.py",
        "hybridwm/worlds/doom/env.py",
        "hybridwm/worlds/restrict.py",
        "hybridwm/worlds/rooms/env.py",
        "hybridwm/worlds/rooms/vector.py",
        "hybridwm/worlds/task.py",
    },
    "kornia": set(),
    "llvmlite": {"render/cpu/"},
    "matplotlib": set(),
    "mujoco": {"hybridwm/actions/mujoco_import.py"},
    "numba": {"render/cpu/"},
    "open3d": {"recon/open3d_import.py"},
    "PIL": {
        "render/images.py",
        "recon/readers/pictures.py",
        "hybridwm/cli/depth_maps.py",
        "hybridwm/cli/depth_picture.py",
        "hybridwm/study/media.py",
        "hybridwm/worlds/lerobot/",
    },
    "pyarrow": {"hybridwm/worlds/lerobot/", "hybridwm/study/grid/"},
    "pycolmap": {"recon/colmap_process.py"},
    "pytorch3d": {"render/rasterize_pytorch3d.py"},
    "ray": {"hybridwm/worlds/cluster.py"},
    "scipy": set(),
    "transformers": {"hybridwm/actions/latent/sentences.py", "recon/monocular.py"},
    "trimesh": {"hybridwm/worlds/rooms/mesh.py", "recon/collision.py", "recon/surface.py"},
    "vizdoom": {"hybridwm/worlds/doom/"},
    "yaml": {"hybridwm/configuration.py", "recon/readers/camera_info.py"},
    "zstandard": {"render/formats/spz_streams.py"},
}
NO_WHEEL = {"pytorch3d"}  # so nothing to declare: whoever wants it builds it
DISTRIBUTION = {
    "cv2": "opencv-python-headless",
    "libusb_package": "libusb-package",
    "PIL": "pillow",
    "yaml": "pyyaml",
}
SAME_LIBRARY = {"open3d-cpu": "open3d"}  # a smaller build, where there is one


def sources(*folders):
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def imports(file):
    """(module, level) of every import statement in the file, also those inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


def name(file):
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way_and_are_relative_inside(package):
    wrong = [
        f"{name(file)} imports {module}"
        for file in sources(package)
        for module, level in imports(file)
        if level == 0 and module.split(".")[0] in set(PACKAGES) - MAY_IMPORT[package]
    ]
    assert not wrong


def test_no_file_is_over_400_lines():
    lengths = {
        name(file): len(file.read_text(encoding="utf-8").splitlines())
        for file in sources(*PACKAGES, "tests", "examples")
    }
    assert {file: lines for file, lines in lengths.items() if lines > MAX_LINES} == {}


def test_examples_are_under_60_lines_and_numbered():
    examples = sources("examples")
    assert all(len(file.read_text().splitlines()) < 60 for file in examples)
    assert [file.name[:3] for file in examples] == [f"{i:02d}_" for i in range(1, len(examples) + 1)]


def test_no_module_is_named_for_nothing():
    parts = {name(file): set(file.relative_to(ROOT).with_suffix("").parts) for file in sources(*PACKAGES)}
    assert {file for file, words in parts.items() if words & FORBIDDEN_NAMES} == set()


@pytest.mark.parametrize("library", DOORS)
def test_heavy_libraries_come_in_by_their_door(library):
    users = {
        name(file)
        for file in sources(*PACKAGES)
        if any(level == 0 and module.split(".")[0] == library for module, level in imports(file))
    }
    doors = {next((door for door in DOORS[library] if user.startswith(door)), user) for user in users}
    assert doors == DOORS[library]


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=;\[ ]", line)[0] for line in project["dependencies"]}
    optional = {
        re.split(r"[<>=;\[ ]", line)[0]
        for extra, lines in project["optional-dependencies"].items()
        if extra != "test"
        for line in lines
    }
    used = {
        DISTRIBUTION.get(module.split(".")[0], module.split(".")[0])
        for file in sources(*PACKAGES)
        for module, level in imports(file)
        if level == 0 and module.split(".")[0] not in {*sys.stdlib_module_names, *PACKAGES, *NO_WHEEL}
    }
    assert used == {SAME_LIBRARY.get(line, line) for line in declared | optional}


def test_nothing_reads_by_unpickling():
    pattern = re.compile(r"torch\.load\(|pickle\.loads?\(|allow_pickle *= *True|yaml\.load\(|np\.load\(")
    assert [name(file) for file in sources(*PACKAGES) if pattern.search(file.read_text())] == []
