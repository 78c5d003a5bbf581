"""Turns raw rows into model features, the same way in training and in scoring."""
