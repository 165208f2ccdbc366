"""Training's recalled renders stay near those of the real scene, and the measure notices when they do not."""

from hybridwm.training.config import RecallConfig
from hybridwm.training.recall_gap import recall_gap


def test_training_recall_is_near_the_real_scene():
    gap = recall_gap(walks=3)
    assert gap["between_psnr"] > 24.5
    assert abs(gap["real_psnr"] - gap["training_psnr"]) < 4
    assert abs(gap["real_alpha"] - gap["training_alpha"]) < 0.15
    assert gap["alpha_agreement"] > 0.75


def test_wrong_depth_would_show():
    """The control: with disparities far off, the two no longer agree as well."""
    assert recall_gap(walks=3, config=RecallConfig(disparity_noise=6.0))["between_psnr"] < 23.5
