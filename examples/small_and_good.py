"""Search for networks that are good and small at the same time, under a limit of parameters.

    python small_and_good.py

The result is the Pareto front: the trials for which no other trial is both better and smaller.
"""

import cnnsearch

TRIALS = 30
EPOCHS = 8
ENOUGH = 0.95  # choose the smallest network with this validation accuracy

study = cnnsearch.search(
    "digits_cnn",
    study="small",
    objective="val_accuracy,params",
    max_params=20_000,
    trials=TRIALS,
    epochs=EPOCHS,
    confirm=0,
)
board = study.leaderboard()
front = board[board["pareto"] == "*"].sort_values("params")
print(front[["trial", "score", "params", "macs"]].to_string(index=False))

good = front[front["score"] >= ENOUGH]
chosen = int((good if len(good) else front.tail(1)).iloc[0]["trial"])
print(f"Export this network: cnnsearch export small --trial {chosen}")
