"""The machine as a worker sees it through Keras: devices, precision, memory."""


def set_precision(name: str) -> None:
    """Make `name` Keras' policy; `auto` is mixed_bfloat16 where there is a GPU, else float32."""
    import keras

    if name == "auto":
        name = "mixed_bfloat16" if any("gpu" in device.lower() for device in devices()) else "float32"
    keras.config.set_dtype_policy(name)


def devices() -> list[str]:
    """The backend's devices, such as `cpu:0`."""
    import keras

    return [str(device) for device in keras.distribution.list_devices()]


def rss() -> int:
    """Bytes of memory that this process holds."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def free_memory() -> int:
    """Bytes of main memory that are free."""
    import psutil

    return int(psutil.virtual_memory().available)
