import os
import re
import subprocess
import sys

import pytest


def python(code, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("package", ["recon", "render"])
@pytest.mark.parametrize("form", ["module", "package", "imported"])
def test_a_foreign_package_of_that_name_is_refused(tmp_path, package, form):
    foreign = tmp_path / (f"{package}.py" if form != "package" else f"{package}/__init__.py")
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("")
    first = f"import {package}; " if form == "imported" else ""
    result = python(f"{first}import hybridwm", tmp_path)
    assert result.returncode == 1
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith(f"ImportError: hybridwm brings its own package '{package}'")
    assert str(foreign) in message
    assert "Rename or move that file" in message


def test_an_empty_folder_of_that_name_does_no_harm(tmp_path):
    (tmp_path / "recon").mkdir()
    assert python("import hybridwm, recon; print(recon.__file__)", tmp_path).returncode == 0


def test_import_is_quick_and_leaves_torch_alone(tmp_path):
    # Processor time: what a busy machine does not change.
    code = (
        "import time; begun = time.process_time(); import hybridwm; seconds = time.process_time() - begun\n"
        "import sys; assert 'torch' not in sys.modules; print(seconds)"
    )
    seconds = [float(python(code, tmp_path).stdout) for _ in range(3)]
    assert min(seconds) < 0.3


def test_public_names_and_an_unknown_one():
    import hybridwm

    for name in hybridwm.__all__:
        assert getattr(hybridwm, name) is not None
        assert name in dir(hybridwm)
    with pytest.raises(AttributeError, match="no attribute 'imagien'; it has .*imagine"):
        _ = hybridwm.imagien


def test_version_is_the_distribution_s(root):
    import hybridwm

    assert f'version = "{hybridwm.__version__}"' in (root / "pyproject.toml").read_text()


def command(readme, label):
    """The one line below `<!-- command: label -->`."""
    found = re.search(rf"<!-- command: {label} -->\n```bash\n(.+)\n```\n", readme)
    assert found, f"README.md has no command '{label}'"
    return found[1]


def test_readme_has_two_commands_that_start_from_a_clean_clone(root):
    readme = (root / "README.md").read_text()
    begin = "python3 -m venv .venv && . .venv/bin/activate && pip install -c constraints.txt "
    assert command(readme, "demo") == begin + "-e . && hybridwm demo"
    assert command(readme, "tests") == begin + "-e '.[test]' && pytest"


def test_continuous_integration_runs_the_readme_s_own_command(root):
    script = (root / ".ci" / "run").read_text()
    assert os.access(root / ".ci" / "run", os.X_OK)
    assert "<!-- command: tests -->" in script
    # The line is read from README.md, never repeated.
    assert re.findall(r"^\s*(?:pip|python\d?|pytest)\b", script, re.MULTILINE) == []


def test_constraints_pin_one_version_each_and_name_no_place(root):
    lines = (root / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line) for line in pins)
    names = [re.sub(r"[._-]+", "-", line.split("==")[0]).lower() for line in pins]
    assert len(names) == len(set(names))
    assert "torch==2.13.0" in pins


def test_a_wheel_s_configs_are_found_by_the_names_of_a_checkout(root, tmp_path, monkeypatch):
    from hybridwm.configuration import find_config

    monkeypatch.chdir(tmp_path)
    for file in (root / "configs").rglob("*.yaml"):
        assert find_config(file.relative_to(root)).read_text() == file.read_text()


def test_readme_s_python_runs_as_it_stands(root, tmp_path):
    block = re.search(r"```python\n(.+?)```", (root / "README.md").read_text(), re.DOTALL)
    assert block
    result = python(block[1] + "\nprint(tuple(rollout.frames.shape), len(scene) > 1000)", tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "(10, 64, 64, 3) True"


def test_readme_names_every_command(root):
    from hybridwm.cli import COMMANDS

    readme = (root / "README.md").read_text()
    assert [name for name in COMMANDS if f"| `hybridwm {name}" not in readme] == []
