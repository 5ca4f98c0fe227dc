"""What answers a completion: LiteLLM for every vendor, and an echo that needs none."""
