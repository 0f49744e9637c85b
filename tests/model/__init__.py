"""What is sent comes back as it was sent: values, and how they look as bytes."""
