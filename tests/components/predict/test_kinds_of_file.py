"""What a dataset, `predict` and the SavedModel make of each kind of image file: the table in docs/releases.md."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import ExifTags, Image

from components.export.litert import score_litert, write_litert
from components.export.serving import write_saved_model
from components.predict.predict import Prediction, predict
from components.predict.settings import PredictSettings
from petalflow import imaging
from petalflow.imaging.heif import can_read_heif
from petalflow.model.decode import decode_image
from petalflow.model.exported import Exported
from petalflow.model.files import TrainedModel
from petalflow.model.serving import Serving
from petalflow.model.task import Task
from petalflow.registry import Release
from tests.petalflow.imaging import images
from tests.petalflow.imaging.images import cmyk_profile, encode, rgb_profile

# PETALFLOW_UPDATE=1 writes the table.
PAGE = Path(__file__).resolve().parents[3] / "docs" / "releases.md"
BEGIN, END = "<!-- kinds of file: begin -->\n", "<!-- kinds of file: end -->\n"
SIZE_PX = 8
NAMES = tuple(f"value {number}" for number in range(SIZE_PX * SIZE_PX * 3))
# The levels by which a second lossy compression, and rounding, may change a pixel.
SAME = 3
WIDE = rgb_profile(1.8, [(0.79, 0.29, 0), (0.14, 0.71, 0), (0.03, 0.001, 0.82)])


def photo() -> Image.Image:
    """Returns a photo that is large enough for the noise of lossy compression to average out."""
    return images.photo(240, 160)


def oriented(form: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encode(photo(), form, exif=exif, **({} if form == "PNG" else {"quality": 95}))


def with_alpha(mode: str) -> Image.Image:
    """Returns a photo that is transparent in places, where its hidden colour is red."""
    image = photo().convert(mode)
    rows, columns = np.mgrid[0 : image.height, 0 : image.width]
    alpha = Image.fromarray((255 * columns // image.width).astype(np.uint8))
    hidden = Image.new(mode, image.size, 80 if mode == "L" else (255, 0, 0))
    image.paste(hidden, mask=Image.fromarray((rows < 50).astype(np.uint8) * 255))
    image.putalpha(alpha)
    return image


def palette() -> Image.Image:
    return photo().quantize(16)


def grey16() -> Image.Image:
    return Image.fromarray(np.asarray(photo().convert("L"), np.uint16) * 257)


def animated(form: str, **options: Any) -> bytes:
    return encode(photo(), form, save_all=True, append_images=[Image.new("RGB", photo().size)], duration=9, **options)


# Read with a library that may not be installed.
HEIC = "HEIC, with the extra `heic`"

KINDS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encode(photo(), "JPEG", quality=95),
    "JPEG, progressive": lambda: encode(photo(), "JPEG", quality=95, progressive=True),
    "JPEG, grey": lambda: encode(photo().convert("L"), "JPEG", quality=95),
    "JPEG, rotated by EXIF": lambda: oriented("JPEG", 6),
    "JPEG, CMYK with a printer's profile": lambda: encode(
        photo().convert("CMYK"), "JPEG", quality=95, icc_profile=cmyk_profile()
    ),
    "JPEG with a colour profile other than sRGB": lambda: encode(photo(), "JPEG", quality=95, icc_profile=WIDE),
    "JPEG, cut off": lambda: encode(photo(), "JPEG")[:2000],
    "PNG": lambda: encode(photo(), "PNG"),
    "PNG, palette": lambda: encode(palette(), "PNG"),
    "PNG, palette with a transparent entry": lambda: encode(palette(), "PNG", transparency=3),
    "PNG, 16-bit grey": lambda: encode(grey16(), "PNG"),
    "PNG, 1 bit": lambda: encode(photo().convert("1"), "PNG"),
    "PNG, transparent": lambda: encode(with_alpha("RGB"), "PNG"),
    "PNG, transparent grey": lambda: encode(with_alpha("L"), "PNG"),
    "PNG, rotated by EXIF": lambda: oriented("PNG", 8),
    "GIF": lambda: encode(palette(), "GIF"),
    "GIF, animated": lambda: animated("GIF"),
    "GIF with a transparent colour": lambda: encode(palette(), "GIF", transparency=3),
    "BMP": lambda: encode(photo(), "BMP"),
    "WebP": lambda: encode(photo(), "WEBP", quality=95),
    "WebP, lossless": lambda: encode(photo(), "WEBP", lossless=True),
    "WebP, transparent": lambda: encode(with_alpha("RGB"), "WEBP", lossless=True, exact=True),
    "WebP, transparent, lossy": lambda: encode(with_alpha("RGB"), "WEBP", quality=95, exact=True),
    "WebP, rotated by EXIF": lambda: oriented("WEBP", 3),
    "WebP, animated": lambda: animated("WEBP"),
    "WebP, animated, transparent": lambda: encode(
        with_alpha("RGB"), "WEBP", save_all=True, append_images=[with_alpha("RGB").rotate(180)], duration=9
    ),
    "TIFF": lambda: encode(photo(), "TIFF"),
    "AVIF": lambda: encode(photo(), "AVIF", quality=95),
    "JPEG 2000": lambda: encode(photo(), "JPEG2000"),
    **({HEIC: Path(images.__file__).with_name("drawing.heic").read_bytes} if can_read_heif() else {}),
    "not an image": lambda: b"<html>404 Not Found</html>",
    "an empty file": lambda: b"",
}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release whose scores are the pixels that it sees."""
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3))
    network = keras.Model(inputs, keras.layers.Flatten()(inputs))
    folder = tmp_path_factory.mktemp("release")
    write_saved_model(TrainedModel(network, NAMES, Task.MULTI_LABEL, SIZE_PX, {}), folder, Serving(1.0, 0.0))
    write_litert(folder, folder / "model.tflite")
    exported = Exported("f", NAMES, Serving(1.0, 0.0), "m", "none", 0, SIZE_PX, 0, 0.0, Task.MULTI_LABEL)
    exported.write(folder)
    return Release(str(folder), 1, {"class_names": NAMES})


Pixels = NDArray[np.float32] | None


def in_the_dataset(data: bytes) -> tuple[str, Pixels]:
    """Returns what becomes of a file in a dataset, and the pixels that a network is trained on."""
    try:
        prepared = imaging.prepare(data)
    except imaging.Rejected as rejected:
        return f"rejected: {rejected.reason}", None
    pixels = decode_image(prepared.data, SIZE_PX, prepared=True)
    return "re-encoded" if prepared.rewritten else "unchanged", np.asarray(pixels, np.float32).ravel()


def compared(seen: Pixels, expected: Pixels) -> str:
    if seen is None:
        return "not readable"
    assert expected is not None, "pixels of a file that a dataset rejects"
    return "same pixels" if np.abs(seen - expected).max() <= SAME else "other colours"


def pixels(prediction: Prediction) -> Pixels:
    """Returns what the network saw, which the release returns as its scores."""
    return np.array([prediction.scores[name] for name in NAMES], np.float32) if prediction.scores else None


@pytest.fixture(scope="module")
def rows(release: Release, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str, str]]:
    """Of each kind: what becomes of it in a dataset, in `predict`, and in one batch given to the SavedModel."""
    folder = tmp_path_factory.mktemp("files")
    files = [folder / str(number) for number in range(len(KINDS))]
    for file, make in zip(files, KINDS.values(), strict=True):
        file.write_bytes(make())
    predicted = {
        runtime: list(predict(release, [str(file) for file in files], PredictSettings(batch_size=9, runtime=runtime)))
        for runtime in ("litert", "saved_model")
    }
    serve = tf.saved_model.load(release.uri).signatures["serving_default"]
    served = serve(image_bytes=tf.constant([file.read_bytes() for file in files]))
    found = {}
    for number, kind in enumerate(KINDS):
        record, expected = in_the_dataset(files[number].read_bytes())
        by_predict = {compared(pixels(of_one[number]), expected) for of_one in predicted.values()}
        assert len(by_predict) == 1, f"{kind} depends on the runtime"
        by_model = served["scores"].numpy()[number] if served["readable"].numpy()[number] else None
        found[kind] = (record, by_predict.pop(), compared(by_model, expected))
    return found


def test_the_documented_table_states_what_becomes_of_each_kind_of_file(rows) -> None:
    header = "| file | in the dataset | `petalflow predict` | SavedModel, `image_bytes` |\n|---|---|---|---|\n"
    table = header + "".join(f"| {kind} | {' | '.join(outcomes)} |\n" for kind, outcomes in rows.items())
    before, _, rest = PAGE.read_text().partition(BEGIN)
    documented, _, after = rest.partition(END)
    if not can_read_heif():
        documented = "".join(line for line in documented.splitlines(keepends=True) if HEIC not in line)
    if os.environ.get("PETALFLOW_UPDATE"):
        PAGE.write_text(before + BEGIN + table + END + after)
    else:
        assert documented == table


def test_predict_sees_the_pixels_of_the_dataset_in_every_file_that_a_dataset_keeps(rows) -> None:
    for kind, (record, by_predict, _) in rows.items():
        assert by_predict == ("not readable" if record.startswith("rejected") else "same pixels"), kind


def test_only_colour_profiles_change_what_the_saved_model_sees(rows) -> None:
    others = [kind for kind, (_, _, by_model) in rows.items() if by_model == "other colours"]
    assert others == ["JPEG, CMYK with a printer's profile", "JPEG with a colour profile other than sRGB"]


def test_unreadable_images_do_not_affect_the_others_of_their_batch(release) -> None:
    serve = tf.saved_model.load(release.uri).signatures["serving_default"]
    good, bad = KINDS["PNG"](), KINDS["TIFF"]()
    alone = serve(image_bytes=tf.constant([good]))["scores"].numpy()[0]
    assert alone.any()
    for batch, expected in (([bad, good, b""], [False, True, False]), ([bad], [False]), ([], [])):
        served = serve(image_bytes=tf.constant(batch, tf.string))
        assert served["readable"].numpy().tolist() == expected
        for scores, labels, readable in zip(served["scores"].numpy(), served["labels"].numpy(), expected, strict=True):
            np.testing.assert_array_equal(scores, alone if readable else 0)
            assert labels.any() == readable


def test_an_unreadable_image_has_no_label_and_is_not_accepted(tmp_path) -> None:
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3))
    outputs = keras.layers.Softmax()(keras.layers.GlobalAveragePooling2D()(inputs))
    model = TrainedModel(keras.Model(inputs, outputs), ("r", "g", "b"), Task.MULTI_CLASS, SIZE_PX, {})
    write_saved_model(model, tmp_path, Serving(1.0, 0.0))
    serve = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    served = {name: value.numpy().tolist() for name, value in serve(image_bytes=tf.constant([b"text"])).items()}
    assert served == {"scores": [[0, 0, 0]], "label": [b""], "score": [0], "accepted": [False], "readable": [False]}


def test_transparent_places_show_the_background_of_the_dataset(tmp_path) -> None:
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3))
    network = keras.Model(inputs, keras.layers.Flatten()(inputs))
    write_saved_model(
        TrainedModel(network, NAMES, Task.MULTI_LABEL, SIZE_PX, {}), tmp_path, Serving(1.0, 0.0), (9, 99, 199)
    )
    release = Release(str(tmp_path), 1, {"class_names": NAMES, "background": "#0963c7"})
    clear = tmp_path / "clear.png"
    clear.write_bytes(encode(Image.new("RGBA", (20, 20), (255, 0, 0, 0)), "PNG"))
    (predicted,) = predict(release, [str(clear)], PredictSettings())
    serve = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    served = serve(image_bytes=tf.constant([clear.read_bytes()]))["scores"].numpy()[0]
    assert [predicted.scores[name] for name in NAMES[:3]] == [9, 99, 199]
    np.testing.assert_array_equal(served, list(predicted.scores.values()))


def test_litert_scores_the_pixels_of_the_dataset_like_the_saved_model(release) -> None:
    _, pixels = in_the_dataset(KINDS["WebP, transparent"]())
    assert pixels is not None
    batch = pixels.reshape(1, SIZE_PX, SIZE_PX, 3).astype(np.uint8)
    np.testing.assert_array_equal(score_litert(Path(release.uri) / "model.tflite", batch)[0], pixels)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_in_every_format_that_states_one(form: str, orientation: int) -> None:
    data = oriented(form, orientation)
    assert Image.open(io.BytesIO(data)).getexif()[ExifTags.Base.Orientation] == orientation
    expected = decode_image(imaging.prepare(data).data, SIZE_PX, prepared=True).numpy().astype(int)
    assert np.abs(decode_image(data, SIZE_PX).numpy() - expected).max() <= SAME
