import pytest


@pytest.fixture
def small_mobilenet(monkeypatch) -> None:
    """Replaces `keras.applications.MobileNetV2` at 32 px by its first blocks."""
    import keras

    from tests.components.train import small_backbone

    # The first one draws from Keras' global seed for the whole network, which would make a training unrepeatable.
    small_backbone.build(False, None, (small_backbone.SIZE_PX, small_backbone.SIZE_PX, 3))
    monkeypatch.setattr(keras.applications, "MobileNetV2", small_backbone.build)


@pytest.fixture(scope="session")
def small_weights(make_once) -> str:
    """A file of random weights for `small_mobilenet`."""
    from tests.components.train.small_backbone import save_random_weights

    name = "small.weights.h5"
    return str(make_once("small-weights", lambda to: save_random_weights(to / name)) / name)
