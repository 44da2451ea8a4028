"""KerasTuner's tuners, each in a module of KerasTuner's name."""

from cnnsearch.keras_tuner.engine.tuner import Tuner
from cnnsearch.keras_tuner.tuners.bayesian import BayesianOptimization
from cnnsearch.keras_tuner.tuners.gridsearch import GridSearch
from cnnsearch.keras_tuner.tuners.hyperband import Hyperband
from cnnsearch.keras_tuner.tuners.randomsearch import RandomSearch

__all__ = ["BayesianOptimization", "GridSearch", "Hyperband", "RandomSearch", "Tuner"]
