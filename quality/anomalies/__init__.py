"""Owns the comparison of a partition with the pipeline's own past: any metric, any cadence, a budget of false alarms.

    calendar     what part of day, week or year a partition is, and how much past is enough
    budget       how much of the year's chance of a false alarm one look may spend
    predictors   what the past predicts of the next value, several ways
    tails        how far from a prediction values fall, by Student laws of every width and tail
    scan         one pass over a history: predict, compare, learn
    judging      named series in, findings with bands out
    spec         what a pipeline declares of all this

It reads no past itself: the caller hands over the values of earlier partitions. Everything is a pure function of them.
"""
