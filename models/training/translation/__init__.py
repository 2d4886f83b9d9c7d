"""What the trainers of published translators share: pictures, the loop with its checkpoints, installing the result."""
