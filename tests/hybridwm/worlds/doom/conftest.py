"""Games are played only where ViZDoom is installed, and end with their test."""

import pytest

import hybridwm  # noqa: F401 (registers the environment)


@pytest.fixture
def doom():
    """doom(**keywords) is an environment; its process ends with the test."""
    pytest.importorskip("vizdoom", reason="vizdoom is not installed: pip install 'hybridwm[doom]'")
    from hybridwm.worlds.doom.env import DoomEnv

    made = []

    def make(**keywords):
        made.append(DoomEnv(**keywords))
        return made[-1]

    yield make
    for env in made:
        env.close()
