"""What `make check-deploy` is made of."""
