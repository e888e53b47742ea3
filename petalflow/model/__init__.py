"""The Keras model contract, decoding, and scoring.

A model is one `.keras` file of built-in layers: input RGB [batch, height, width, 3], values
0..255, scaling inside; output the probability of each class. It loads without this project.
"""
