"""Learns models and incentive effects, and judges them through the code that serves."""
