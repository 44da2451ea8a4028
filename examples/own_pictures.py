"""Search a network for your own pictures, and export the best one.

    python own_pictures.py pets

The folder has a folder for each class: pets/cat/*.jpg and pets/dog/*.jpg. Training, validation and test are split off.
"""

import sys

import cnnsearch

SPACE = "cifar10_cnn"  # convolutional networks; `cnnsearch spaces` lists the others
TRIALS = 20
EPOCHS = 10
CONFIRM = "3x3"  # train the best 3 trials again, each on 3 new seeds

pictures = sys.argv[1]
study = cnnsearch.search(SPACE, pictures, study="pictures", trials=TRIALS, epochs=EPOCHS, confirm=CONFIRM)
print(study.leaderboard(top=5)[["rank", "trial", "mean", "n", "score", "params"]].to_string(index=False))

folder = study.export("exports/pictures")
print(f"The model is in {folder}. Use it: cnnsearch predict {folder} photo.jpg")
print("See the results as a page: cnnsearch report pictures")
