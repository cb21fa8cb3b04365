"""The commands of `mitheory`, one file each, named in `analysis.cli.COMMANDS`."""
