"""Published editors as live editors. They run on exported networks: nothing here imports torch."""
