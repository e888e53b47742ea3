import contextlib
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from components.export.serving import write_saved_model
from petalflow.dataset import Record, Shard, open_dataset, shard_name, write_metadata, write_shard
from petalflow.imaging import Rejected, prepare
from petalflow.model.decode import decode_image, read_orientation
from petalflow.model.files import TrainedModel
from petalflow.model.reading import decoded_images
from petalflow.model.serving import Serving
from petalflow.model.task import Task
from petalflow.storage import building


def picture(width: int = 48, height: int = 32) -> Image.Image:
    """A smooth picture with four different corners, so that a wrong turn shows."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [255 * x / width, 255 * y / height, 255 * (x + y) / (width + height)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def with_orientation(orientation: int, prefix: str = "") -> bytes:
    exif = Image.Exif()
    # With an entry before and after it in the directory, as cameras write.
    exif[0x010F], exif[0x0112], exif[0x0131] = "maker", orientation, prefix + "software"
    return encoded(picture(), "JPEG", quality=95, subsampling=0, exif=exif)


def big_endian(jpeg: bytes) -> bytes:
    """The same file with a big-endian directory that holds orientation 6 only."""
    tiff = b"MM\x00*\x00\x00\x00\x08" + b"\x00\x01" + b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00" + b"\x00" * 4
    body = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_as_its_orientation_asks(orientation: int) -> None:
    data = with_orientation(orientation)
    assert int(read_orientation(data)) == orientation
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    expected = decode_image(encoded(upright, "PNG"), 24)
    difference = np.abs(np.asarray(decode_image(data, 24), int) - np.asarray(expected, int))
    assert difference.mean() < 2


def test_a_big_endian_directory_is_read() -> None:
    assert int(read_orientation(big_endian(encoded(picture(), "JPEG")))) == 6


@pytest.mark.parametrize(
    "data",
    [
        encoded(picture(), "JPEG"),
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe1\x00\x08Exif\x00\x00II",
        big_endian(encoded(picture(), "JPEG"))[:30],
        with_orientation(0),
        with_orientation(77),
    ],
    ids=["none", "header only", "cut in Exif", "cut in entries", "zero", "nonsense"],
)
def test_a_jpeg_without_a_valid_orientation_counts_as_upright(data: bytes) -> None:
    assert int(read_orientation(data)) == 1


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_pixels_are_those_that_pillow_sees(format: str) -> None:
    data = encoded(picture(), format)
    seen = Image.open(io.BytesIO(data)).convert("RGB")
    expected = tf.image.resize(np.asarray(seen), (20, 20), antialias=True)
    result = decode_image(data, 20)
    assert result.dtype == tf.uint8
    assert result.shape == (20, 20, 3)
    assert np.abs(np.asarray(result, int) - np.asarray(expected)).mean() < 2


def test_a_grey_image_has_three_equal_channels() -> None:
    result = np.asarray(decode_image(encoded(picture().convert("L"), "PNG"), 16))
    assert (result == result[..., :1]).all()


def test_it_works_in_a_graph_on_a_batch_of_mixed_formats() -> None:
    files = tf.constant([with_orientation(6), encoded(picture(), "PNG"), encoded(picture(), "WEBP")])
    result = tf.data.Dataset.from_tensor_slices(files).map(lambda data: decode_image(data, 16)).batch(3)
    turned, *others = next(iter(result)).numpy()
    # Turned by 90 degrees: what was on the left is on top.
    assert turned[0].mean(axis=0)[0] < turned[-1].mean(axis=0)[0]
    assert all(np.abs(other.astype(int) - others[0]).mean() < 2 for other in others)


def test_orientation_of_real_files(shared_data) -> None:
    for path in sorted((shared_data / "messy").glob("*.jpg")):
        with Image.open(path) as image:
            if image.format != "JPEG":
                continue
            recorded = image.getexif().get(0x0112, 1)
        assert int(read_orientation(path.read_bytes())) == (recorded if 1 <= recorded <= 8 else 1), path.name


def resized_by_tensorflow(data: bytes, size_px: int) -> np.ndarray:
    """Returns an upright picture as TensorFlow's own functions decode it."""
    pixels = tf.io.decode_image(data, channels=3, expand_animations=False)
    if data.startswith(b"\xff\xd8"):
        pixels = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.cast(tf.round(tf.image.resize(pixels, (size_px, size_px))), tf.uint8).numpy()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(("width", "height"), [(47, 32), (7, 5), (48, 20), (1, 40), (24, 24)])
def test_down_to_half_the_size_pixels_equal_those_that_tensorflow_resizes(
    format: str, mode: str, width: int, height: int
) -> None:
    data = encoded(noise(width, height).convert(mode), format)
    for prepared in (False, True):
        assert (decode_image(data, 24, prepared=prepared).numpy() == resized_by_tensorflow(data, 24)).all()


@pytest.mark.parametrize("times", [3, 4, 8, 11])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP"])
def test_shrinking_by_more_than_half_averages_every_pixel(format: str, times: int) -> None:
    size_px = 24
    data = encoded(noise(times * size_px, times * size_px), format, **({"quality": 95} if format == "JPEG" else {}))
    pixels = np.asarray(Image.open(io.BytesIO(data)), float)
    means = pixels.reshape(size_px, times, size_px, times, 3).mean(axis=(1, 3))
    result = decode_image(data, size_px).numpy()
    # Single pixels would spread as widely as the noise: 74 levels.
    assert result.std() == pytest.approx(means.std(), rel=0.35)
    assert np.abs(result - means).mean() < (0.6 * means.std() if format == "JPEG" else 0.51)


@pytest.mark.parametrize(("width", "height"), [(300, 20), (20, 300), (1, 90), (1000, 50), (400, 390)])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_one_long_side_is_averaged_too(format: str, width: int, height: int) -> None:
    data = encoded(picture(width, height), format)
    expected = np.asarray(picture(width, height).resize((24, 24), Image.Resampling.BOX), int)
    for prepared in (False, True):
        assert np.abs(decode_image(data, 24, prepared=prepared).numpy() - expected).mean() < 4


def test_exif_after_bytes_that_are_not_text_is_found() -> None:
    # A comment of all byte values, line ends included, precedes the EXIF.
    data = with_orientation(6)
    comment = b"\xff\xfe\x01\x02" + bytes(range(256))
    with_comment = data[:2] + comment + data[2:]
    assert (decode_image(with_comment, 24).numpy() == decode_image(data, 24).numpy()).all()
    assert (decode_image(data, 24).numpy() != decode_image(data, 24, prepared=True).numpy()).any()


def test_real_photos_equal_those_that_tensorflow_resizes(shared_data) -> None:
    for path in sorted((shared_data / "flowers").glob("*/*.jpg"))[::160]:
        data = path.read_bytes()
        assert (decode_image(data, 224).numpy() == resized_by_tensorflow(data, 224)).all(), path.name
        assert (decode_image(data, 224, prepared=True).numpy() == resized_by_tensorflow(data, 224)).all(), path.name


def test_real_photos_shrunk_are_closer_to_what_pillow_averages(shared_data) -> None:
    for path in sorted((shared_data / "flowers").glob("*/*.jpg"))[::160]:
        with Image.open(path) as photo:
            expected = np.asarray(photo.convert("RGB").resize((48, 48), Image.Resampling.BILINEAR), int)
        data = path.read_bytes()
        ours, without = (
            np.abs(result - expected).mean()
            for result in (decode_image(data, 48, prepared=True).numpy(), resized_by_tensorflow(data, 48))
        )
        assert ours < 0.75 * without, path.name


def test_a_dataset_and_the_served_model_see_the_same_pixels_of_real_photos(shared_data, tmp_path) -> None:
    """What train and evaluate read from a dataset equals what the signature of a served model decodes, bit by bit."""
    size_px = 96
    images = [path.read_bytes() for path in sorted((shared_data / "flowers").glob("*/*.jpg"))[::160]]
    images += [path.read_bytes() for path in sorted((shared_data / "messy").glob("*.jpg"))]
    records = []
    for index, data in enumerate(images):
        with contextlib.suppress(Rejected):
            records.append(Record(prepare(data).data, (0,), f"{index}.jpg", f"{index:064d}"))
    assert len(records) > 10
    with building(tmp_path / "dataset") as root:
        path = root / shard_name("train", 0, 1)
        shards = {"train": [Shard(write_shard(path, [one.to_bytes() for one in records]), path.stat().st_size)]}
        statistics = {"fingerprint": "f", "counts": {"train": {"a": len(records), "b": 0}}}
        write_metadata(root, classes=("a", "b"), shards=shards, statistics=statistics)
    inputs = keras.Input((size_px, size_px, 3))
    network = keras.Model(inputs, keras.layers.Flatten()(inputs))  # its scores are the pixels
    model = TrainedModel(network, ("a", "b"), Task.MULTI_LABEL, size_px, {})
    (tmp_path / "served").mkdir()
    write_saved_model(model, tmp_path / "served", Serving(temperature=1.0, abstain_threshold=0.0))
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    trained_on = decoded_images(open_dataset(tmp_path / "dataset"), "train", size_px)
    for record, (pixels, _) in zip(records, trained_on.as_numpy_iterator(), strict=True):
        seen = served(image_bytes=tf.constant([record.image]))["scores"].numpy().reshape(pixels.shape)
        np.testing.assert_array_equal(seen, pixels, err_msg=record.filename)
