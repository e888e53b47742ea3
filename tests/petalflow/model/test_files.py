import keras
import numpy as np
import pytest

from petalflow.errors import PetalflowError
from petalflow.model.files import MODEL_FILE, load_model, write_model_info
from petalflow.model.task import Task
from petalflow.storage import building


def save(folder, model: keras.Model, **info: object):
    with building(folder) as out:
        model.save(out / MODEL_FILE)
        write_model_info(out, {"classes": ["a", "b"], "image_size_px": 4, **info})
    return folder


def small(*layers: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4, 4, 3)), *layers, keras.layers.Flatten(), keras.layers.Dense(2)])


def test_a_model_is_loaded_with_its_info(tmp_path) -> None:
    model = small()
    loaded = load_model(save(tmp_path / "model", model, task="multi_label", more=1))
    assert (loaded.classes, loaded.image_size_px, loaded.info["more"]) == (("a", "b"), 4, 1)
    assert loaded.task is Task.MULTI_LABEL
    images = np.ones((2, 4, 4, 3), np.float32)
    np.testing.assert_array_equal(np.asarray(loaded.keras_model(images)), np.asarray(model(images)))


def test_a_model_that_records_no_task_has_a_softmax(tmp_path) -> None:
    assert load_model(save(tmp_path / "model", small())).task is Task.MULTI_CLASS


def test_a_model_that_would_run_code_is_not_loaded(tmp_path) -> None:
    folder = save(tmp_path / "model", small(keras.layers.Lambda(lambda x: x * 2)))
    with pytest.raises(ValueError, match="unsafe"):
        load_model(folder)


def test_a_model_that_lost_its_file_is_not_complete(tmp_path) -> None:
    folder = save(tmp_path / "model", small())
    (folder / MODEL_FILE).unlink()
    with pytest.raises(PetalflowError, match=r"not a complete model \(model\.keras is missing"):
        load_model(folder)
