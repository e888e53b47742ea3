"""One labelled image as a tf.train.Example, the schema of the TFRecords."""

from dataclasses import dataclass

# TFDS ships the protos, so writing records needs no TensorFlow.
from tensorflow_datasets.proto import tf_example_pb2

IMAGE, LABEL, FILENAME, SHA256, GROUP = "image", "label", "filename", "sha256", "group"
SLICE = "slice_"  # prefix of the features that hold slices


@dataclass(frozen=True)
class Record:
    """One labelled image.

    Attributes:
        image: An encoded JPEG or PNG, upright.
        labels: Indices into the sorted class names, ascending; exactly one unless the dataset is multi-label.
        filename: Address of the image in the source.
        sha256: SHA-256 of the image's content in the source, in hexadecimal.
        group: Images of one group stay in one split; "" if the image has no group.
        slices: Pairs of slice name and value, sorted by name; every record of a dataset has the same names.
    """

    image: bytes
    labels: tuple[int, ...]
    filename: str
    sha256: str
    group: str = ""
    slices: tuple[tuple[str, str], ...] = ()

    def to_bytes(self) -> bytes:
        """Returns the serialized Example; equal records give equal bytes."""
        example = tf_example_pb2.Example()
        feature = example.features.feature
        feature[IMAGE].bytes_list.value.append(self.image)
        feature[LABEL].int64_list.value.extend(self.labels)
        feature[FILENAME].bytes_list.value.append(self.filename.encode())
        feature[SHA256].bytes_list.value.append(self.sha256.encode())
        feature[GROUP].bytes_list.value.append(self.group.encode())
        for name, value in self.slices:
            feature[SLICE + name].bytes_list.value.append(value.encode())
        # Maps are unordered: without this, equal records could give different bytes.
        return bytes(example.SerializeToString(deterministic=True))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Record":
        """Returns the record that `to_bytes` serialized."""
        feature = tf_example_pb2.Example.FromString(data).features.feature
        return cls(
            image=feature[IMAGE].bytes_list.value[0],
            labels=tuple(feature[LABEL].int64_list.value),
            filename=feature[FILENAME].bytes_list.value[0].decode(),
            sha256=feature[SHA256].bytes_list.value[0].decode(),
            group=feature[GROUP].bytes_list.value[0].decode(),
            slices=tuple(
                (name.removeprefix(SLICE), feature[name].bytes_list.value[0].decode())
                for name in sorted(feature)
                if name.startswith(SLICE)
            ),
        )
