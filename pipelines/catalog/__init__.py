"""The pipelines themselves: one module, or one folder with `defs.yaml`, each."""
