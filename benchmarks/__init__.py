"""Every selector against what one would use instead: same inputs, same outputs, one run."""
