"""Engines that turn a curve and DLT counts into posterior expectations."""
