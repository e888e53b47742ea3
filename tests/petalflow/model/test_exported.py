import json

from petalflow.model.exported import Exported
from petalflow.model.serving import Serving
from petalflow.model.task import Task
from petalflow.storage import building

EXPORT = Exported("f", ("a", "b"), Serving(1.5, 0.5), "c0de", "cnn", 5, 16, 3, 0.0, Task.BINARY)


def test_an_export_is_read_as_it_was_written(tmp_path) -> None:
    with building(tmp_path / "export") as folder:
        EXPORT.write(folder)
    read = Exported.read(tmp_path / "export")
    assert read == EXPORT
    assert type(read.task) is Task


def test_an_export_that_records_no_task_has_a_softmax(tmp_path) -> None:
    with building(tmp_path / "export") as folder:
        EXPORT.write(folder)
        values = json.loads((folder / "export.json").read_text())
        del values["task"]
        (folder / "export.json").write_text(json.dumps(values))
    assert Exported.read(tmp_path / "export").task is Task.MULTI_CLASS
