"""The networks as torch modules, with their loaders."""
