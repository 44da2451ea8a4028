"""What every shipped dimension has beyond its contracts, which tests/testing/test_contracts.py checks."""

import inspect

import pytest

from .conftest import NAMES, marked


@pytest.mark.parametrize("name", NAMES)
def test_one_function_named_as_its_file(name):
    (function,) = marked(name)
    assert function.__name__ == name


@pytest.mark.parametrize("name", NAMES)
def test_documented(name):
    function = marked(name)[0]
    summary, _, rest = inspect.getdoc(function).partition("\n")
    assert summary.endswith(".")
    for option in list(inspect.signature(function).parameters)[2:]:
        assert f"\n    {option}: " in rest
