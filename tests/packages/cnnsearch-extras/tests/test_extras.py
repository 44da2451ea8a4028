"""The contracts of these plugins."""

from cnnsearch_extras import checkers, excitation, mixup

from cnnsearch.testing import DatasetSuite, DimensionSuite, SpaceSuite, TrainerSuite


class TestExcitation(DimensionSuite):
    dimension = excitation


class TestCheckers(DatasetSuite):
    dataset = checkers


class TestMixup(TrainerSuite):
    trainer = mixup


class TestCheckersCnn(SpaceSuite):
    space = "checkers_cnn"
