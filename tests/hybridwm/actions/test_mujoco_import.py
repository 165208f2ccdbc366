"""What MuJoCo has to say is said in Python, and the folder that one works in stays clean."""

import subprocess
import sys

import pytest

pytest.importorskip("mujoco", reason="extra [arm] is not installed")

from hybridwm.actions.mujoco_import import import_mujoco

UNSTABLE = """
import warnings
{importing}
model = mujoco.MjModel.from_xml_string(
    '<mujoco><option timestep="0.1"/><worldbody><body><freejoint/><geom size="0.1"/></body></worldbody></mujoco>'
)
data = mujoco.MjData(model)
data.qvel[:] = 1e30
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    mujoco.mj_step(model, data)
print([str(one.message) for one in told if one.category is RuntimeWarning])
"""
OURS = "from hybridwm.actions.mujoco_import import import_mujoco\nmujoco = import_mujoco()"


@pytest.mark.parametrize(("importing", "files"), [(OURS, []), ("import mujoco", ["MUJOCO_LOG.TXT"])])
def test_warnings_leave_no_file_behind(importing, files, tmp_path, root):
    """Without our import, the control, MuJoCo writes one."""
    program = UNSTABLE.format(importing=importing)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert ("mujoco: " in done.stdout and "QVEL" in done.stdout.upper()) == (not files), done.stdout


def test_a_users_own_way_of_warning_is_kept():
    mujoco = import_mujoco()
    before, mine = mujoco.get_mju_user_warning(), lambda text: None
    mujoco.set_mju_user_warning(mine)
    try:
        assert import_mujoco().get_mju_user_warning() is mine
    finally:
        mujoco.set_mju_user_warning(before)
