"""Every figure that is published, over months of recorded rates, against a second computation."""
