import os
import subprocess
import sys

import pytest

from petalflow.model.quiet import quiet_start


def test_what_a_library_writes_to_stderr_is_hidden_in_the_block_only(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_start():
        os.write(2, b"greetings")
    os.write(2, b"news")
    assert capfd.readouterr().err == "news"


def test_an_error_is_raised_and_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), quiet_start():
        import no_such_module  # noqa: F401
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_tensorflow_is_imported_without_output() -> None:
    code = "from petalflow.model.quiet import quiet_start\nwith quiet_start():\n    import tensorflow\nprint('ready')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ready\n", "")
