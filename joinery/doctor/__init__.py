"""Whether a deployment can do its work: what ``joinery doctor`` asks, and how the answers are judged."""
