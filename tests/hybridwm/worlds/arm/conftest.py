import pytest

pytest.importorskip("mujoco", reason="extra [arm] is not installed")


@pytest.fixture(scope="session")
def arm():
    """arm(size=…, view=…, actions=…) is an environment, closed at the end; skipped where nothing can be drawn."""
    from hybridwm.worlds.arm.env import ArmEnv

    made = []

    def make(size=32, **options):
        try:
            made.append(ArmEnv(size, **options))
        except RuntimeError as error:
            pytest.skip(str(error))
        return made[-1]

    yield make
    for env in made:
        env.close()
