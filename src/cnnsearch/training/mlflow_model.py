"""Writes a model in MLflow's format: the one module of the worker that knows MLflow."""

from typing import Any


def log_mlflow_model(order: dict[str, Any]) -> None:
    """Log the model file `path` to the run `run_id`: a Keras model with its signature, any other as a file.

    `input_example` is left out on purpose: `mlflow.keras.log_model` crashes with it (mlflow#16183).
    """
    import keras
    import mlflow

    from cnnsearch.study.mlflow_store import needs, signature
    from cnnsearch.training import model_io

    mlflow.set_tracking_uri(order["uri"])
    # of others the file says too little, or Keras does not open it without the author's code
    if not order["path"].endswith(".keras"):
        with mlflow.start_run(run_id=order["run_id"]):
            mlflow.log_artifact(order["path"], "model")
        return
    model = keras.saving.load_model(order["path"], compile=False)
    shapes = signature(order["shape"], model_io.units(model, order["shape"]))
    with mlflow.start_run(run_id=order["run_id"]):
        mlflow.keras.log_model(
            model, name="model", signature=shapes, pip_requirements=needs("keras", keras.backend.backend())
        )
