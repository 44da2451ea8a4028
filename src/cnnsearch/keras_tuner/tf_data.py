"""How datasets of TensorFlow travel to the workers: as the graph of their operations, or as their elements."""

import hashlib
import sys
from typing import Any

import numpy as np

from cnnsearch.core.errors import DataError
from cnnsearch.spaces.data_files import DataFiles, path_of

PYTHON = (b"PyFunc", b"EagerPyFunc", b"PyFuncStateless")
"""Operations that call Python's functions of this process, which other processes do not have."""

MOST_ELEMENTS = 1_000_000
"""A dataset that calls Python's functions is read once, and may have so many elements."""


def reduced(files: DataFiles, value: Any) -> Any:
    """How a dataset or a tensor of TensorFlow is pickled; NotImplemented for other objects."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return NotImplemented
    if isinstance(value, tensorflow.data.Dataset):
        return _dataset(files, value)
    if isinstance(value, tensorflow.Tensor) and hasattr(value, "numpy") and value.dtype != tensorflow.string:
        return _tensor, (value.numpy(),)
    return NotImplemented


def _dataset(files: DataFiles, dataset: Any) -> Any:
    graph = _graph(dataset)
    if graph is not None:
        return _from_graph, (files.add_bytes(graph), dataset.element_spec)
    return _from_elements, (_elements(dataset), dataset.element_spec)


def _graph(dataset: Any) -> bytes | None:
    """The dataset's graph; None if it calls Python's functions, or is too large."""
    import tensorflow as tf

    try:
        variant = tf.data.experimental.to_variant(dataset)
        found: bytes = tf.raw_ops.DatasetToGraphV2(input_dataset=variant, external_state_policy=1).numpy()
    # stateful resources, and more than 2 GB
    except (tf.errors.OpError, ValueError):
        return None
    return None if any(name in found for name in PYTHON) else found


def _elements(dataset: Any) -> list[Any]:
    """All elements of a dataset.

    Raises:
        DataError: if it does not end.
    """
    import tensorflow as tf

    if int(dataset.cardinality()) == int(tf.data.INFINITE_CARDINALITY):
        raise DataError(
            "A tf.data.Dataset that calls Python's functions and repeats for ever cannot be sent to the workers. Take "
            "`repeat` out: Keras repeats it for each epoch."
        )
    found = []
    for element in dataset:
        found.append(tf.nest.map_structure(lambda tensor: tensor.numpy(), element))
        if len(found) > MOST_ELEMENTS:
            raise DataError(f"A tf.data.Dataset has more than {MOST_ELEMENTS:,} elements. Batch it.")
    return found


def _from_graph(name: str, element_spec: Any) -> Any:
    """The dataset of a graph, in a worker."""
    import tensorflow as tf

    variant = tf.raw_ops.DatasetFromGraph(graph_def=path_of(name).read_bytes())
    return tf.data.experimental.from_variant(variant, element_spec)


def _from_elements(elements: list[Any], element_spec: Any) -> Any:
    """The dataset of these elements, in a worker."""
    import tensorflow as tf

    return tf.data.Dataset.from_generator(lambda: iter(elements), output_signature=element_spec).apply(
        tf.data.experimental.assert_cardinality(len(elements))
    )


def _tensor(value: Any) -> Any:
    import tensorflow as tf

    return tf.constant(value)


def digest(value: Any) -> str:
    """16 hexadecimal digits of arrays and the structure around them. Other data count by their type and form alone."""
    return hashlib.sha256(_said(value).encode()).hexdigest()[:16]


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} {[_said(each) for each in value]}"
    if isinstance(value, dict):
        return f"dict {[(str(key), _said(each)) for key, each in value.items()]}"
    if isinstance(value, str | int | float | bool | type(None)):
        return repr(value)
    if hasattr(value, "element_spec"):
        return f"dataset {value.element_spec}"
    if hasattr(value, "__array__") and hasattr(value, "shape"):
        array = np.ascontiguousarray(value)
        if not array.dtype.hasobject:
            content = hashlib.sha256(array.reshape(-1).view(np.uint8).data).hexdigest()
            return f"array {array.dtype} {array.shape} {content}"
    return type(value).__name__
