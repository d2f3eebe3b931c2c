"""Run a grid of prompts, seeds and schedulers on a hosted image model, and get every picture back."""
