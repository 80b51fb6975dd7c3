"""Whimbrel: an organization-wide migration bot."""

__version__ = "0.1.0"
