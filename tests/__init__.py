"""Tests; a package, so that test folders may share names with the packages they test."""
