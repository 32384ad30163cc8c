"""Training methods: state machines that the loop advances a step at a time."""
