"""Learns to tell digits apart. Runs as a task and, just the same, by `python train.py` anywhere."""

from __future__ import annotations

from pathlib import Path

import digits_data
import joblib
import numpy as np
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import kpl_helper
from kpl_helper.metric import MetricFigure

MODEL_FILE = "digits.joblib"


def new_network(parameters: object, seed: int) -> MLPClassifier:
    """Return a network that knows nothing yet."""
    return MLPClassifier(
        hidden_layer_sizes=tuple(parameters.hidden),
        learning_rate_init=parameters.learning_rate,
        batch_size=parameters.batch_size,
        random_state=seed,
    )


def network_to_start_with(parameters: object, seed: int) -> MLPClassifier:
    """Return the network of the model that was given, or a new one."""
    folder = kpl_helper.io.get_input_path("model", default="")
    if not folder:
        return new_network(parameters, seed)
    return joblib.load(Path(folder) / MODEL_FILE)["network"]


def main() -> None:
    kpl_helper.ready()
    parameters = kpl_helper.get_parameter()
    data = kpl_helper.io.get_input_path("data", default=digits_data.mounted())
    pictures, classes, labels = digits_data.load(data)
    seen, unseen, seen_classes, unseen_classes = train_test_split(
        pictures,
        classes,
        test_size=parameters.test_share,
        random_state=parameters.seed,
        stratify=classes,
    )
    print(f"{len(seen)} pictures to learn from, {len(unseen)} to measure with", flush=True)

    network = network_to_start_with(parameters.network, parameters.seed)
    loss_figure = MetricFigure("loss", "training", "line", "unseen", "line")
    accuracy_figure = MetricFigure("accuracy", "training", "line", "unseen", "line")
    order = np.random.default_rng(parameters.seed)
    numbers = list(range(len(labels)))
    for epoch in range(1, parameters.epochs + 1):
        turn = order.permutation(len(seen))
        network.partial_fit(seen[turn], seen_classes[turn], classes=numbers)
        unseen_loss = log_loss(unseen_classes, network.predict_proba(unseen), labels=numbers)
        accuracy = network.score(unseen, unseen_classes)
        loss_figure.push_metric(epoch, network.loss_, unseen_loss)
        accuracy_figure.push_metric(epoch, network.score(seen, seen_classes), accuracy)
        kpl_helper.send_progress(epoch / parameters.epochs)
        print(f"epoch {epoch}: loss {unseen_loss:.4f}, accuracy {accuracy:.4f}", flush=True)

    kpl_helper.result.send_scalar_result(
        accuracy=float(accuracy), loss=float(unseen_loss), pictures=len(pictures)
    )
    folder = Path(kpl_helper.io.get_output_path("save", default="output/save"))
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump({"network": network, "labels": labels}, folder / MODEL_FILE)
    print(f"model written to {folder / MODEL_FILE}", flush=True)
    kpl_helper.done()


if __name__ == "__main__":
    main()
