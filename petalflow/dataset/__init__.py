"""The dataset format: sharded TFRecords with metadata that TFDS opens.

```
<root>/
  train-00000-of-00002.tfrecord  ...  test-00000-of-00001.tfrecord
  features.json  label.labels.txt  dataset_info.json     what TFDS reads
  statistics.json                                        counts, classes, source fingerprint
  rejects.jsonl  rejects/                                refused images and why
  index/                                                 the records of each shard, for the next conversion
  dataset.html                                           the dataset as a page, to look through
  complete.json                                          written last: every file and its size
```

Nothing here imports TensorFlow; `petalflow.model.reading` reads a dataset with tf.data.
"""

from petalflow.dataset.index import Entry, index_path, read_index, write_index, write_ranges
from petalflow.dataset.metadata import (
    PAGE_FILE,
    STATISTICS_FILE,
    Dataset,
    Shard,
    open_dataset,
    typical_short_side_px,
    write_metadata,
)
from petalflow.dataset.record import Record
from petalflow.dataset.shards import read_record, read_shard, record_offsets, shard_name, write_shard
from petalflow.dataset.statistics import BINS, ImageStatistics, Summary

__all__ = [
    "BINS",
    "PAGE_FILE",
    "STATISTICS_FILE",
    "Dataset",
    "Entry",
    "ImageStatistics",
    "Record",
    "Shard",
    "Summary",
    "index_path",
    "open_dataset",
    "read_index",
    "read_record",
    "read_shard",
    "record_offsets",
    "shard_name",
    "typical_short_side_px",
    "write_index",
    "write_metadata",
    "write_ranges",
    "write_shard",
]
