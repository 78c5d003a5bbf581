"""Neural networks as models: the trainer `torch`, its parameters, loop, checkpoints and model file."""
