"""Names of the files that an export holds beside the SavedModel."""

LABELS_FILE = "labels.txt"
LITERT_FILE = "model.tflite"
