from pipeline.build import Build


def test_a_tfds_source_is_converted_where_tensorflow_is() -> None:
    assert Build(tfds=True).image_of("convert").startswith("petalflow/cpu:")
    assert Build(tfds=True).image_of("snapshot").startswith("petalflow/base:")
    assert Build().image_of("convert").startswith("petalflow/base:")


def test_other_images_are_other_code() -> None:
    versions = {build.code_version() for build in (Build(), Build("a/b"), Build("a/b", "2"), Build("a/b", "2"))}
    assert len(versions) == 3
