"""Owns what can be said of a model's performance before labels come, and of the probabilities that it rests on.

    calibration      do probabilities mean what they say: reliability, calibration error, Brier score
    calibration_drift  does the same probability still mean the same
    recalibration    the map from a model's probabilities to true ones, with its uncertainty
    classification   accuracy, precision, recall, F1, AUC and losses expected of unlabelled rows
    regression       MAE and RMSE expected of unlabelled rows, by a model of the loss
    ranges           do rows leave the range of those that had labels
    experience       how far past estimates missed what labels showed, and what that makes of the next
    expectation      what all of them return, and the model of either task as one JSON value

All are pure functions over numpy arrays; what is learned is kept as numbers, never as code.
"""
