"""Tests of conditional independence with controlled error."""
