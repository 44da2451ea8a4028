from cnnsearch import dimension


@dimension
def no_summary(hp, plan):
    return plan.replace(batch_size=hp.Choice("size", [32, 64]))
