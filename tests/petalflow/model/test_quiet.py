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


def test_an_error_passes_and_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), quiet_start():
        import no_such_module  # noqa: F401
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_tensorflow_starts_without_a_word() -> None:
    code = "from petalflow.model.quiet import quiet_start\nwith quiet_start():\n    import tensorflow\nprint('ready')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ready\n", "")
