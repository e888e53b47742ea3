"""The textbook recipe: a new head on a frozen MobileNetV2, every epoch through the backbone.

    python benchmarks/recipes/book.py FOLDER WEIGHTS [--augment] [--seed 0] [--epochs 10]

FOLDER holds train/, validation/ and test/ each with one folder of images per class. The last line printed is JSON.
This script is the reference for Petalflow's training, so it must not change.
"""

import argparse
import json
import time
from pathlib import Path

import keras
from keras import layers

SIZE = (224, 224)

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("weights")
parser.add_argument("--augment", action="store_true")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--epochs", type=int, default=10)
arguments = parser.parse_args()

began = time.perf_counter()
keras.utils.set_random_seed(arguments.seed)


def load(split, shuffle):
    """Returns the images of a split, in batches."""
    return keras.utils.image_dataset_from_directory(
        arguments.folder / split, image_size=SIZE, batch_size=64, shuffle=shuffle, seed=arguments.seed
    )


train, validation, test = load("train", True), load("validation", False), load("test", False)

backbone = keras.applications.MobileNetV2(include_top=False, weights=arguments.weights, input_shape=(*SIZE, 3))
backbone.trainable = False

inputs = keras.Input((*SIZE, 3))
x = inputs
if arguments.augment:
    x = layers.RandomRotation(20 / 360)(x)
    x = layers.RandomTranslation(0.2, 0.2)(x)
    x = layers.RandomZoom(0.2)(x)
x = keras.applications.mobilenet_v2.preprocess_input(x)
x = backbone(x, training=False)
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dense(64, activation="relu")(x)
x = layers.Dropout(0.5)(x)
outputs = layers.Dense(len(train.class_names), activation="softmax")(x)
model = keras.Model(inputs, outputs)

model.compile(keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train, validation_data=validation, epochs=arguments.epochs, verbose=2)
_, accuracy = model.evaluate(test, verbose=0)

print(json.dumps({"seconds": time.perf_counter() - began, "accuracy": float(accuracy)}))
