"""The dataset format: sharded TFRecords with metadata that TFDS opens.

```
<root>/
  train-00000-of-00002.tfrecord  ...  test-00000-of-00001.tfrecord
  features.json  label.labels.txt  dataset_info.json     what TFDS reads
  statistics.json                                        counts, classes, fingerprint
  rejects.jsonl  rejects/                                refused images and why
  complete.json                                          written last: every file and its size
```

Nothing but `reading` imports TensorFlow.
"""

from petalflow.dataset.metadata import Dataset, Shard, open_dataset, write_metadata
from petalflow.dataset.record import Record
from petalflow.dataset.shards import read_shard, shard_name, write_shard

__all__ = ["Dataset", "Record", "Shard", "open_dataset", "read_shard", "shard_name", "write_metadata", "write_shard"]
