"""The contracts of these plugins."""

from cnnsearch_extras import best_first, checkers, epochs_csv, excitation, mixup

from cnnsearch.testing import CallbackSuite, DatasetSuite, DimensionSuite, SchedulerSuite, SpaceSuite, TrainerSuite


class TestExcitation(DimensionSuite):
    dimension = excitation


class TestCheckers(DatasetSuite):
    dataset = checkers


class TestMixup(TrainerSuite):
    trainer = mixup


class TestCheckersCnn(SpaceSuite):
    space = "checkers_cnn"


class TestBestFirst(SchedulerSuite):
    scheduler = best_first


class TestEpochsCsv(CallbackSuite):
    callback = epochs_csv
