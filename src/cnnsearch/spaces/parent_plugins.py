"""Plugins that run in the parent's process: found by name, and every error of theirs told with their name."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cnnsearch.core.errors import CnnsearchError, PluginError, nearest, one_line
from cnnsearch.spaces.plugins import Catalog


def check_name(kind: str, name: str, built_in: Iterable[str], known: Catalog) -> None:
    """Refuse a name that neither cnnsearch nor a plugin has.

    Raises:
        CnnsearchError: it lists the names.
        PluginError: if the plugin is broken.
    """
    own = list(built_in)
    if name in own:
        return
    names = [*own, *known.names(kind)]
    if name not in names:
        raise CnnsearchError(
            f"--{kind} {name}: there is no {kind} of this name.{nearest(name, names)} "
            f"Expected one of: {', '.join(names)}. One of your own needs its folder: --plugins DIR."
        )
    known.get(kind, name)


def make(kind: str, name: str, built_in: Mapping[str, str], known: Catalog, *arguments: Any) -> Any:
    """What the function of this name returns. `built_in` has the addresses `module:function` of cnnsearch's own.

    A plugin's result is a `Checked` object.

    Raises:
        CnnsearchError: if there is no such name.
        PluginError: if the plugin is broken or fails.
    """
    check_name(kind, name, built_in, known)
    if name in built_in:
        module, _, attribute = built_in[name].partition(":")
        return getattr(importlib.import_module(module), attribute)(*arguments)
    function = known.get(kind, name).function
    assert function is not None
    label = f"{kind} '{name}'"
    return Checked(call(label, "when it was made", function, arguments, {}), label)


class Checked:
    """A plugin's object. Any error of a method becomes a PluginError that names the plugin and the method."""

    def __init__(self, plugin: Any, label: str) -> None:
        self._plugin, self._label = plugin, label

    def __getattr__(self, name: str) -> Any:
        if not hasattr(type(self._plugin), name) and name not in vars(self._plugin):
            raise AttributeError(f"the {self._label} has no {name}")
        value = call(self._label, f"in {name}", getattr, (self._plugin, name), {})
        if not callable(value):
            return value
        return lambda *arguments, **named: call(self._label, f"in {name}", value, arguments, named)


def plain(made: Any) -> Any:
    """The object of a plugin itself, without its `Checked`."""
    return made._plugin if isinstance(made, Checked) else made


def call(
    label: str, where: str, function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    """What a plugin's function returns. `label` and `where` say in the error what failed.

    Raises:
        PluginError: instead of any error that is no CnnsearchError.
    """
    try:
        return function(*arguments, **named)
    except CnnsearchError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(str(error))}"
        raise PluginError(f"The {label} failed {where}: {reason}") from error
