"""Elastic fine-tuning of vision-language models on groups of images."""
