"""The parts of a column profile: counted values, moments, quantiles, distinct and frequent values, and their merges."""
