"""The packages work together: a table is written, read and grouped, a model learns, a picture is drawn."""

from __future__ import annotations

import io

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn
import statsmodels.api as sm
from skimage.filters import sobel
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

pictures, labels = load_digits(return_X_y=True)
parts = train_test_split(pictures / 16, labels, random_state=0)
model = LogisticRegression(max_iter=200).fit(parts[0], parts[2])
assert model.score(parts[1], parts[3]) > 0.9

table = pd.DataFrame({"label": labels, "ink": pictures.sum(axis=1)})
buffer = io.BytesIO()
table.to_parquet(buffer)
again = pd.read_parquet(io.BytesIO(buffer.getvalue()))
pd.testing.assert_frame_equal(again, table)
assert again.groupby("label").size().sum() == len(labels)

x = np.arange(20.0)
fit = sm.OLS(3 * x + 1, sm.add_constant(x)).fit()
assert np.allclose(fit.params, [1, 3])
assert sobel(pictures[0].reshape(8, 8)).max() > 0

seaborn.histplot(table, x="ink", hue="label")
plt.savefig(io.BytesIO())
print("ok")
