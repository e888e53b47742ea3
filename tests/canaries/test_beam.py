"""Apache Beam's private interface that Petalflow relies on; the failure names the version that changed it."""

import apache_beam as beam
import pytest

from components.convert.settings import ConvertSettings


class _Broken(beam.DoFn):
    def process(self, element: int) -> None:
        raise ValueError(f"element {element}")


def test_an_error_of_a_worker_is_marked_and_keeps_the_original_as_its_context() -> None:
    why = f"Beam {beam.__version__} changed `_tagged_with_step`, by which components/convert/runners.py finds the cause"
    with pytest.raises(ValueError, match="element 7") as raised, beam.Pipeline(ConvertSettings().runner) as pipeline:
        pipeline | beam.Create([7]) | beam.ParDo(_Broken())
    error: BaseException = raised.value
    assert getattr(error, "_tagged_with_step", False), why
    assert str(error.__context__) == "element 7", why
