"""The parent: it runs a study's trials on workers. It never imports Keras."""
