from cnnsearch import dimension


@dimension
def option_no_file_can_set(hp, plan, *, choices={32: "few", 64: "many"}):  # noqa: B006
    """How many images are in a batch."""
    return plan.replace(batch_size=hp.Choice("size", list(choices)))
