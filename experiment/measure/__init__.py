"""Run trials: plan them, start them, time them, keep what they measured."""
