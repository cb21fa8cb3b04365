"""What is measured with `mitheory`: datasets, settings, runs and the `mitheory` command."""
