import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.transform import Rotation

from render.conventions import (
    K_from_integer_centers,
    K_to_integer_centers,
    opengl_c2w_from_w2c,
    w2c_from_opengl_c2w,
    wxyz_from_xyzw,
    xyzw_from_wxyz,
)
from render.geometry import (
    invert_rigid,
    matrix_from_quats,
    multiply_quats,
    quats_from_matrix,
    split_similarity,
)

numbers = st.floats(-3, 3, width=64)
quaternions = (
    arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.just(4)), elements=numbers)
    .filter(lambda q: (np.linalg.norm(q, axis=1) > 1e-2).all())
    .map(torch.from_numpy)
)
few = settings(max_examples=60, deadline=None)


@few
@given(quaternions)
def test_quats_and_matrices_agree_with_scipy_and_return(quats):
    rotations = matrix_from_quats(quats)
    expected = Rotation.from_quat(xyzw_from_wxyz(quats).numpy()).as_matrix()
    assert np.allclose(rotations, expected, atol=1e-12)
    again = quats_from_matrix(rotations)
    assert (again[:, 0] >= 0).all()
    assert torch.allclose(again.norm(dim=-1), torch.ones(len(again), dtype=torch.float64))
    assert torch.allclose(matrix_from_quats(again), rotations, atol=1e-7)


@few
@given(quaternions, quaternions)
def test_multiplying_quats_multiplies_rotations(left, right):
    left, right = left[:1], right[:1]
    product = matrix_from_quats(multiply_quats(left, right))
    assert torch.allclose(product, matrix_from_quats(left) @ matrix_from_quats(right), atol=1e-10)


@few
@given(quaternions, arrays.arrays(np.float64, 3, elements=numbers))
def test_rigid_transforms_form_a_group(quats, shift):
    b_from_a = torch.eye(4, dtype=torch.float64).repeat(len(quats), 1, 1)
    b_from_a[:, :3, :3] = matrix_from_quats(quats)
    b_from_a[:, :3, 3] = torch.from_numpy(shift)
    identity = torch.eye(4, dtype=torch.float64).expand_as(b_from_a)
    assert torch.allclose(invert_rigid(b_from_a) @ b_from_a, identity, atol=1e-10)
    assert torch.allclose(invert_rigid(b_from_a), torch.linalg.inv(b_from_a), atol=1e-10)


def test_quarter_turn_about_z_in_numbers():
    half = 0.5**0.5
    rotation = matrix_from_quats(torch.tensor([half, 0.0, 0.0, half]))  # wxyz
    assert torch.allclose(rotation @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6)
    assert wxyz_from_xyzw(torch.tensor([1.0, 2, 3, 4])).tolist() == [4, 1, 2, 3]


def test_similarities_are_split_and_others_refused(similarity):
    rotation, scale = split_similarity(similarity(scale=2.5))
    assert scale.item() == pytest.approx(2.5)
    assert torch.allclose(rotation @ rotation.T, torch.eye(3, dtype=torch.float64))
    with pytest.raises(ValueError, match="reflection"):
        split_similarity(torch.diag(torch.tensor([1.0, 1, -1, 1])))
    with pytest.raises(ValueError, match="not orthogonal"):
        split_similarity(torch.diag(torch.tensor([1.0, 1, 2, 1])))


def test_an_opengl_camera_looks_along_minus_z_with_y_up():
    w2c = w2c_from_opengl_c2w(torch.eye(4))
    assert (w2c @ torch.tensor([0.0, 1.0, -2.0, 1.0])).tolist() == [
        0,
        -1,
        2,
        1,
    ]  # up and ahead: v < cy, z > 0


def test_conventions_return(camera):
    assert torch.allclose(w2c_from_opengl_c2w(opengl_c2w_from_w2c(camera.w2c)), camera.w2c, atol=1e-6)
    assert K_from_integer_centers(camera.K)[:2, 2].tolist() == [33.5, 21.5]
    assert torch.equal(K_to_integer_centers(K_from_integer_centers(camera.K)), camera.K)
