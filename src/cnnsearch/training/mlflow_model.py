"""Writes a model in MLflow's format: the only module of the worker that imports MLflow."""

from cnnsearch.core.messages import LogModel


def log_mlflow_model(assignment: LogModel, input_shape: tuple[int, ...]) -> None:
    """Log a model file to a run: a Keras model with its signature, any other model as a file.

    `input_example` is left out on purpose: `mlflow.keras.log_model` crashes with it (mlflow#16183).
    """
    import mlflow

    from cnnsearch.study.mlflow_models import needs, signature, versions_known
    from cnnsearch.training import model_io

    mlflow.set_tracking_uri(assignment.uri)
    # the file of another model says too little, or Keras does not open it without the author's code
    if not assignment.path.endswith(".keras"):
        with mlflow.start_run(run_id=assignment.run_id):
            mlflow.log_artifact(assignment.path, "model")
        return
    import keras

    model = keras.saving.load_model(assignment.path, compile=False)
    shapes = signature(input_shape, model_io.units(model, input_shape))
    with mlflow.start_run(run_id=assignment.run_id), versions_known():
        mlflow.keras.log_model(
            model, name="model", signature=shapes, pip_requirements=needs("keras", keras.backend.backend())
        )
