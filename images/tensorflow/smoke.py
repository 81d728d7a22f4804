"""TensorFlow learns, and reads back what it has kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(0)
x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
model = tf.keras.Sequential(
    [tf.keras.layers.Input((1,)), tf.keras.layers.Dense(16, "tanh"), tf.keras.layers.Dense(1)]
)
model.compile(tf.keras.optimizers.Adam(0.05), "mse")
losses = model.fit(x, x**2, epochs=60, verbose=0).history["loss"]
assert losses[-1] < losses[0] / 5

with tempfile.TemporaryDirectory() as folder:
    place = Path(folder) / "model.keras"
    model.save(place)
    again = tf.keras.models.load_model(place)
    assert np.allclose(again.predict(x, verbose=0), model.predict(x, verbose=0))
print("ok")
