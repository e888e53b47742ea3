import json

from petalflow.model.exported import Exported
from petalflow.model.serving import Serving
from petalflow.model.task import Task
from petalflow.storage import building

EXPORT = Exported("f", ("a", "b"), Serving(1.5, 0.5), "c0de", "cnn", 5, 16, 3, 0.0, Task.BINARY)


def test_it_is_read_as_it_was_written(tmp_path) -> None:
    with building(tmp_path / "export") as folder:
        EXPORT.write(folder)
    read = Exported.read(tmp_path / "export")
    assert read == EXPORT
    assert type(read.task) is Task


def test_an_export_made_before_there_were_tasks_has_a_softmax(tmp_path) -> None:
    with building(tmp_path / "export") as folder:
        EXPORT.write(folder)
        said = json.loads((folder / "export.json").read_text())
        del said["task"]
        (folder / "export.json").write_text(json.dumps(said))
    assert Exported.read(tmp_path / "export").task is Task.MULTI_CLASS
