"""Kinds of media: images, videos, and whatever else fulfils ``Medium``."""
