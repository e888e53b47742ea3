"""The contract of a Keras model, decoding images, and scoring.

A model is one `.keras` file of built-in layers, which loads without this project. Its input is RGB [batch, height,
width, 3] of 0..255, scaled inside the model; its output is the probability of each class.
"""
