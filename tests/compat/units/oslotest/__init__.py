"""As much of oslotest as the tests use."""
