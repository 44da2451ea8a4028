from cnnsearch import dimension

SIZES = dimension(32, 64)
