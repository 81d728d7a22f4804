"""What runs in the pod of a build; sent there with its recipe."""
